#!/bin/bash
# Runs tcpdump's own test suite with the installed tcpdump, on our library and on the system's, and compares.
#
#   tests/tcpdump_suite.sh [LIB_DIR]     LIB_DIR holds our libpcap.so.0.8 (default: stage/lib)
#
# The suite is in the source package of the installed version, which apt fetches (and verifies) from the archive that the
# machine already uses; it is kept in target/tcpdump-suite. Exit status 0 only when every case ends as on the system's
# library, and none fails. Where the source cannot be had: 1 in CI ($CI is set), else 77 and a loud word.
set -euo pipefail
cd "$(dirname "$0")/.."

lib_dir=$(realpath "${1:-stage/lib}")
[ -e "$lib_dir/libpcap.so.0.8" ] || { echo "no libpcap.so.0.8 in $lib_dir" >&2; exit 1; }
work=$PWD/target/tcpdump-suite
mkdir -p "$work"

give_up() {
    echo "TCPDUMP'S TEST SUITE WAS NOT RUN: $1" >&2
    [ -n "${CI:-}" ] && exit 1
    exit 77
}

command -v tcpdump > /dev/null || give_up "tcpdump is not installed"
command -v perl > /dev/null || give_up "perl is not installed"
version=$(dpkg-query -W -f '${source:Version}' tcpdump 2> /dev/null) || give_up "tcpdump is not a Debian package here"

# The machine's sources with deb replaced by deb-src, and package lists of our own: nothing of the machine's is changed.
fetch() {
    local apt=$work/apt
    mkdir -p "$apt/sources.list.d" "$apt/lists/partial"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file"
    done > "$apt/sources.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" > "$apt/sources.list.d/${file##*/}"
    done
    local options=(
        -o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/sources.list.d"
        -o "Dir::State::lists=$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o APT::Sandbox::User=root
    )
    apt-get "${options[@]}" -qq update || return 1
    (cd "$work" && apt-get "${options[@]}" -qq source --download-only "tcpdump=$version")
}

source=$work/source-$version
if [ ! -d "$source/tests" ]; then
    fetch || give_up "the source of tcpdump $version cannot be fetched"
    rm -rf "$source.new"
    mkdir "$source.new"
    tarball=$(find "$work" -maxdepth 1 -name 'tcpdump_*.orig.tar.*' ! -name '*.asc')
    tar -xf "$tarball" -C "$source.new" --strip-components=1
    # What Debian's build has: the crypto library, no SMB.
    echo '#define HAVE_LIBCRYPTO 1' > "$source.new/config.h"
    mv "$source.new" "$source"
fi

tcpdump=/usr/bin/tcpdump
# Run by root it becomes another user, who may not get at the suite's files here.
[ "$(id -u)" -ne 0 ] || tcpdump="$tcpdump -Z root"

run() { # NAME [ENVIRONMENT...]
    local name=$1
    shift
    (cd "$source" && env -u LD_PRELOAD "$@" TCPDUMP_BIN="$tcpdump" perl tests/TESTrun) > "$work/$name.log" 2>&1 || true
    # One line a case: name and outcome.
    sed -n 's/^    \([^ ]*\) *: \(passed\|skipped\|TEST FAILED\).*/\1 \2/p' "$work/$name.log" > "$work/$name.cases"
    cp "$source/tests/failure-outputs.txt" "$work/$name.failures" 2> /dev/null || true
}

run system -u LD_LIBRARY_PATH
run oxpcap LD_LIBRARY_PATH="$lib_dir"
grep -qi oxpcap "$work/oxpcap.log" || { echo "our library was not the one loaded, see $work/oxpcap.log" >&2; exit 1; }

count() { grep -c " $2\$" "$work/$1.cases" || true; }
for name in system oxpcap; do
    echo "$name: $(count $name passed) passed, $(count $name 'TEST FAILED') failed, $(count $name skipped) skipped"
done
[ "$(count system passed)" -ge 500 ] || { echo "the suite did not run, see $work/system.log" >&2; exit 1; }
if ! diff "$work/system.cases" "$work/oxpcap.cases"; then
    echo "cases differ; what failed is in $work/oxpcap.failures" >&2
    exit 1
fi
[ "$(count oxpcap 'TEST FAILED')" -eq 0 ] || { echo "cases fail on both libraries" >&2; exit 1; }
