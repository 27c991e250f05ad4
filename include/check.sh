#!/bin/bash
# Do the headers declare what the code defines? cbindgen writes prototypes of the exported functions as the Rust code has
# them; gcc compiles these after our headers, where any other type of a parameter or result is an error. Then the names:
# each function of the library is declared, and each declared one is in the library.
set -euo pipefail
cd "$(dirname "$0")/.."
out=target/headers
mkdir -p "$out"
PATH=$PWD/target/tools/bin:$PATH

# "extern" are the C library's functions that the code calls.
cbindgen --quiet --config cbindgen.toml --crate oxpcap | sed -e '/^extern.*;$/d' -e '/^extern/,/;$/d' > "$out/prototypes.h"
cat > "$out/check.c" << 'C'
#include <sys/types.h>
#include <pcap/pcap.h>
#include <pcap/namedb.h>
#include <pcap/oxpcap.h>
#define timeval struct timeval
#define addrinfo struct addrinfo
#include "prototypes.h"
C
gcc -std=gnu11 -Wall -Wextra -Werror -Iinclude -fsyntax-only "$out/check.c"

# The remote API's active mode is declared for programs that mention it, and not in any libpcap of Linux distributions.
declared() {
    gcc -E -P -Iinclude -include sys/types.h -include stdio.h -include pcap/pcap.h -include pcap/namedb.h -include pcap/oxpcap.h -x c /dev/null |
        tr -s ' \n\t' ' ' | tr ';' '\n' | grep -oE '\b(pcapx?|bpf)_[a-z0-9_]+ ?\(' | tr -d ' (' | grep -v '^pcap_remoteact_' | sort -u
}
defined() {
    grep -oE '\b(pcapx?|bpf)_[a-z0-9_]+\(' "$out/prototypes.h" | tr -d '(' | sort -u
}
if ! diff <(declared) <(defined); then
    echo "names: < is declared and not defined, > is defined and not declared" >&2
    exit 1
fi
echo "headers: $(defined | wc -l) functions declared as they are defined"
