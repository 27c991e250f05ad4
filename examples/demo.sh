#!/bin/bash
# The system's tcpdump, not rebuilt, on this library. For Debian and Ubuntu, as root: `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() {
    echo "demo: $*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || die "capturing needs root: run it as root"

say "What is needed"
need=()
command -v tcpdump > /dev/null || need+=(tcpdump)
command -v gcc > /dev/null || need+=(gcc)
command -v ping > /dev/null || need+=(iputils-ping)
if [ ${#need[@]} -gt 0 ]; then
    command -v apt-get > /dev/null || die "please install: ${need[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${need[@]}"
fi
command -v cargo > /dev/null || die "the Rust toolchain is missing: https://rustup.rs"
rustc --version
gcc --version | head -1
/usr/bin/tcpdump --version 2>&1 | sed -n 1,2p

say "Build: make stage"
make --no-print-directory stage
lib=$PWD/stage/lib
work=$(mktemp -d)
chmod 755 "$work"
trap 'kill "${capture:-}" "${ping:-}" 2> /dev/null || true; rm -rf "$work"' EXIT

ours() {
    echo "\$ LD_LIBRARY_PATH=$lib tcpdump $*"
    LD_LIBRARY_PATH=$lib /usr/bin/tcpdump "$@"
}

say "The version names the library"
version=$(ours --version 2>&1)
echo "$version"
grep -q oxpcap <<< "$version" || die "that is not our library"

say "Devices"
ours -D

say "A filter, compiled"
ours -d 'port 8888'

say "A savefile, read with a filter"
ours -nr tests/pcaps/ssh.pcap -c 4 'tcp port 22 and greater 100'

say "Live: pings on the loopback interface, filtered in the kernel, written, read back"
echo "\$ LD_LIBRARY_PATH=$lib tcpdump -Z root -ni lo -w $work/lo.pcap icmp"
LD_LIBRARY_PATH=$lib /usr/bin/tcpdump -Z root -U -ni lo -w "$work/lo.pcap" icmp 2> "$work/messages" &
capture=$!
for _ in $(seq 50); do
    grep -q listening "$work/messages" && break
    sleep 0.1
done
ping -q -i 0.2 -c 5 127.0.0.1 > /dev/null &
ping=$!
sleep 0.5
echo "The library in that process, from /proc/$capture/maps:"
maps=$(grep libpcap "/proc/$capture/maps") || die "no libpcap in /proc/$capture/maps"
echo "$maps"
grep -q "$lib/libpcap.so" <<< "$maps" || die "that is not our library"
if grep libpcap <<< "$maps" | grep -vq "$lib"; then die "another libpcap is loaded, too"; fi
wait "$ping"
sleep 0.5
kill -INT "$capture"
wait "$capture" || true
capture=
cat "$work/messages"
ours -nr "$work/lo.pcap"
packets=$(LD_LIBRARY_PATH=$lib /usr/bin/tcpdump -nr "$work/lo.pcap" 2> /dev/null | grep -c 'ICMP echo')
[ "$packets" -eq 10 ] || die "10 packets were sent, $packets are in the file"

say "All of that was this library: $(readlink -f "$lib/libpcap.so.0.8")"
