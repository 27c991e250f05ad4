#!/bin/bash
# The C programs of this folder, on the staged library and on the system's.
#
#   ctests/run.sh [STAGE]        STAGE: default stage/
#
# Each program is built twice, as a user would: against the stage through pkg-config, and against the system's headers
# and library. What is built against the system runs on the system's library and, unchanged, on ours (LD_LIBRARY_PATH);
# all three runs must print the same. Then valgrind's memcheck, the list of exported names, the static library.
# Needs gcc, pkg-config, libpcap0.8-dev, valgrind; the live program needs root. What cannot be run is skipped, or fails in CI.
set -uo pipefail
cd "$(dirname "$0")"
stage=$(realpath "${1:-../stage}")
ours=$stage/lib
out=../target/ctests
data=$PWD/data
mkdir -p "$out"
out=$(realpath "$out")
. ../tests/support/tally.sh

# check WHAT COMMAND...
check() {
    local what=$1
    shift
    if timeout 60 "$@" > "$out/log" 2>&1; then ok; else
        bad "$what"
        tail -20 "$out/log" >&2
    fi
}

# same WHAT FILE FILE
same() {
    if cmp -s "$2" "$3"; then ok; else
        bad "$1"
        diff "$2" "$3" | head -20 >&2
    fi
}

warnings=(-std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-deprecated-declarations)
read -ra stage_flags <<< "$(PKG_CONFIG_PATH=$ours/pkgconfig pkg-config --cflags --libs libpcap)"
read -ra config_flags <<< "$("$stage/bin/pcap-config" --cflags --libs)"
read -ra static_flags <<< "$(PKG_CONFIG_PATH=$ours/pkgconfig pkg-config --variable=includedir libpcap) \
    $ours/libpcap.a $(PKG_CONFIG_PATH=$ours/pkgconfig pkg-config --libs-only-l --static libpcap)"

# build NAME: out/NAME.stage against the stage, out/NAME.system against the system.
build() {
    check "build $1 against the stage" \
        gcc "${warnings[@]}" -o "$out/$1.stage" "$1.c" "${stage_flags[@]}" -pthread "-Wl,-rpath,$ours"
    [ "$1" = ours ] || check "build $1 against the system" \
        gcc "${warnings[@]}" -o "$out/$1.system" "$1.c" -lpcap -pthread
}

# compare NAME LABEL INPUT ARGUMENT...: the three runs of a program print the same and end the same.
compare() {
    local name=$1 label=$2 input=$3
    shift 3
    (cd "$out" && timeout 60 "./$name.system" "$@"; echo "status $?") < "$input" > "$out/$label.want" 2>&1
    (cd "$out" && LD_LIBRARY_PATH=$ours timeout 60 "./$name.system" "$@"; echo "status $?") < "$input" \
        > "$out/$label.drop-in" 2>&1
    (cd "$out" && timeout 60 "./$name.stage" "$@"; echo "status $?") < "$input" > "$out/$label.stage.out" 2>&1
    same "$label: drop-in" "$out/$label.want" "$out/$label.drop-in"
    same "$label: built against the stage" "$out/$label.want" "$out/$label.stage.out"
}

for name in layout copy filters devices texts names odd loops callbacks threads stack states live cancel sandbox ours; do
    build "$name"
done

compare layout layout /dev/null
compare texts texts /dev/null
compare names names /dev/null
compare odd odd /dev/null
compare states states /dev/null "$data"
compare loops loops /dev/null "$data/ssh.pcap"
compare callbacks callbacks-file /dev/null file "$data/ssh.pcap"
compare threads threads /dev/null "$data/ssh.pcap"
compare stack stack /dev/null "$data/ssh.pcap"
compare devices devices /dev/null
compare filters listings listings.txt -d EN10MB
compare filters verdicts filters.txt EN10MB RAW NULL LINUX_SLL LINUX_SLL2 IEEE802_11
for file in ssh.pcap isis-seg-fault-1.pcapng; do
    compare copy "copy-$file" /dev/null "$data/$file" copied.pcap 'ip and greater 60'
    cp "$out/copied.pcap" "$out/copied.ours"
    "$out/copy.system" "$data/$file" "$out/copied.pcap" 'ip and greater 60' > /dev/null
    same "copy of $file" "$out/copied.pcap" "$out/copied.ours"
done
compare copy copy-missing /dev/null /nonexistent copied.pcap
compare copy copy-no-savefile /dev/null "$PWD/run.sh" copied.pcap
compare copy copy-bad-filter /dev/null "$data/ssh.pcap" copied.pcap 'port port'
compare copy copy-nowhere /dev/null "$data/ssh.pcap" /nonexistent/x
if [ "$(id -u)" -eq 0 ]; then
    compare live live /dev/null
    compare callbacks callbacks-lo /dev/null live lo
    compare callbacks callbacks-any /dev/null live any
    "$out/callbacks.stage" live lo ours > "$out/callbacks.out" 2>&1
    same "callbacks: what is our own" callbacks.expected "$out/callbacks.out"
    compare cancel cancel /dev/null "$data/ssh.pcap"
    compare sandbox sandbox /dev/null
else
    skip "live, cancel, sandbox, live callbacks: need root"
fi

if [ -e "$ours/libpcap-dpdk.so" ]; then
    for mode in '' ours; do
        "$out/callbacks.stage" file "$data/ssh.pcap" $mode > "$out/callbacks.file" 2>&1
        timeout 60 "$out/callbacks.stage" dpdk "$data/ssh.pcap" $mode > "$out/callbacks.dpdk" 2>&1
        same "callbacks on a DPDK port $mode" "$out/callbacks.file" "$out/callbacks.dpdk"
    done
else
    skip "callbacks on a DPDK port: the stage has no plug-in"
fi

# Loaded by dlopen: as ever it is loaded, and with no room for thread-local memory at a fixed place.
check "build loaded" gcc "${warnings[@]}" -o "$out/loaded" loaded.c -pthread -ldl
system_library=$(realpath /usr/lib/*/libpcap.so.0.8)
timeout 60 "$out/loaded" "$system_library" now > "$out/loaded.want" 2>&1
for how in now lazy global; do
    timeout 60 "$out/loaded" "$ours/libpcap.so" $how > "$out/loaded.$how" 2>&1
    same "loaded $how" "$out/loaded.want" "$out/loaded.$how"
done
address=$(nm "$ours/libpcap.so" | awk '$3 == "oxpcap_filter_offset" {print $1}')
for tunable in 512:near 0:far; do
    GLIBC_TUNABLES=glibc.rtld.optional_static_tls=${tunable%:*} timeout 60 "$out/loaded" "$ours/libpcap.so" now "$address" \
        > "$out/loaded.out" 2>&1
    same "loaded with ${tunable%:*} bytes" <(sed "/^code left/{s/^/table: ${tunable#*:}\n/;:a;n;ba}" "$out/loaded.want") "$out/loaded.out"
done

check "survives what kills a process on libpcap" "$out/states.stage" "$data" survive
"$out/ours.stage" "$data" > "$out/ours.out" 2>&1
same "what is our own" ours.expected "$out/ours.out"

check "build C++" g++ -std=c++11 -Wall -Wextra -Werror -o "$out/cxx" cxx.cpp "${config_flags[@]}" "-Wl,-rpath,$ours"
"$out/cxx" "$data/ssh.pcap" > "$out/cxx.out" 2>&1
same "C++" <(printf 'thrown after 5\n0\n2\n') "$out/cxx.out"

check "build statically" gcc "${warnings[@]}" -o "$out/copy.static" copy.c "-I${static_flags[@]}"
check "static program" "$out/copy.static" "$data/ssh.pcap" "$out/copied.pcap"
if ldd "$out/copy.static" | grep -q libpcap; then bad "copy.static needs libpcap.so"; else ok; fi

# Without any shared library: glibc warns that dlopen and the name service want one.
read -ra full_flags <<< "$(PKG_CONFIG_PATH=$ours/pkgconfig pkg-config --cflags --libs --static libpcap)"
check "build without shared libraries" gcc -static -w -o "$out/copy.full" copy.c "${full_flags[@]}"
check "program without shared libraries" "$out/copy.full" "$data/ssh.pcap" "$out/copied.pcap"

# Names: those of the system's library, five of its next version, and our own. No symbol versions.
nm -D --defined-only /usr/lib/*/libpcap.so.0.8 | awk '{print $3}' > "$out/names"
printf '%s\n' pcap_open pcap_createsrcstr pcap_parsesrcstr pcap_findalldevs_ex pcap_setsampling >> "$out/names"
sort -u -o "$out/names" "$out/names"
nm -D --defined-only "$ours/libpcap.so" | awk '{print $3}' | grep -v '^pcapx_' | sort > "$out/names.ours"
same "exported names" "$out/names" "$out/names.ours"
size_of() { readelf -sW --dyn-syms "$ours/libpcap.so" | awk -v name="$1" '$8 == name {print $3; exit}'; }
if [ "$(size_of pcap_version)" = 7 ]; then ok; else bad "size of pcap_version"; fi
if [ "$(size_of eproto_db)" = 208 ]; then ok; else bad "size of eproto_db"; fi
if readelf -dW "$ours/libpcap.so" | grep -q '(VERDEF)'; then bad "symbol versions"; else ok; fi

# memcheck NAME ARGUMENT...
memcheck() {
    local kinds=definite,indirect,possible status=0
    timeout 120 valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=$kinds --show-leak-kinds=$kinds \
        "$out/$1.stage" "${@:2}" > "$out/log" 2>&1 || status=$?
    # Other statuses are the program's own.
    if [ "$status" -lt 99 ]; then ok; else
        bad "valgrind $*"
        tail -30 "$out/log" >&2
    fi
}
if command -v valgrind > /dev/null; then
    memcheck copy "$data/ssh.pcap" "$out/copied.pcap" 'port 22'
    memcheck copy "$data/isis-seg-fault-1.pcapng" "$out/copied.pcap"
    memcheck copy "$data/ssh.pcap" "$out/copied.pcap" 'port port'
    memcheck filters EN10MB RAW LINUX_SLL2 < filters.txt
    memcheck devices
    memcheck texts
    memcheck odd
    memcheck loops "$data/ssh.pcap"
    memcheck callbacks file "$data/ssh.pcap"
    memcheck callbacks file "$data/ssh.pcap" ours
    memcheck threads "$data/ssh.pcap"
    memcheck ours "$data"
    [ "$(id -u)" -ne 0 ] || memcheck live
else
    skip "valgrind is not installed"
fi

tally
