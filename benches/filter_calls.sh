#!/bin/bash
# pcap_offline_filter and bpf_filter as a C program calls them: the system's library and the staged one, in turn.
#
#   benches/filter_calls.sh [STAGE] [ROUNDS] [loaded|far]     STAGE: default stage/, ROUNDS: default 7
#
# loaded: the libraries are loaded by dlopen; far: with no room for thread-local memory at a fixed place, either.
# Both run the programs that the system's libpcap compiles. Medians over the rounds. Needs gcc and libpcap0.8-dev.
set -euo pipefail
lib=$(realpath -e "${1:-$(dirname "$0")/../stage}/lib")
[ -e "$lib/libpcap.so.0.8" ]
cd "$(dirname "$0")"
rounds=${2:-7}
how=${3:-linked}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
gcc -std=gnu11 -O2 -Wall -Wextra -o "$out/filter_calls" filter_calls.c -lpcap
"$out/filter_calls" compile > "$out/programs"
# run MODE LIB_DIR
run() {
    LD_LIBRARY_PATH=$2 "$out/filter_calls" "$1" "$out/programs"
}
system=$(dirname "$(realpath /usr/lib/*/libpcap.so.0.8)")
if [ "$how" != linked ]; then
    gcc -std=gnu11 -O2 -Wall -Wextra -DLOADED -o "$out/filter_calls" filter_calls.c -ldl
    [ "$how" = loaded ] || export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=0
    run() {
        LIBRARY=$2/libpcap.so.0.8 "$out/filter_calls" "$1" "$out/programs"
    }
fi
for ((round = 0; round < rounds; round++)); do
    for mode in time few; do
        run $mode "$system" > "$out/theirs"
        run $mode "$lib" > "$out/ours"
        paste "$out/theirs" "$out/ours" | awk -F'\t' -v OFS='\t' '{ print $1, $2, $4, $2 / $4 }' >> "$out/results"
    done
done
echo "| function | packets | filter | libpcap, ns | oxpcap, ns | ratio |"
echo "|---|---|---|---|---|---|"
# Of each line the round with the median ratio.
sort -t$'\t' -k1,1V -k4,4g "$out/results" | awk -F'\t' -v middle=$(((rounds + 1) / 2)) '
    $1 != key { key = $1; n = 0 }
    ++n == middle { printf "%s %.1f | %.1f | %.2f |\n", $1, $2, $3, $4 }'
