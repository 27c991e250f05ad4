#!/bin/sh
# dpdk/bench/run.sh LIBDIR [ROUNDS]: rates on virtual devices, interleaved, medians, as Markdown.
# LIBDIR has libpcap.so.0.8 and libpcap-dpdk.so of this project (stage/lib).
set -eu
here=$(dirname "$0")
lib=$(cd "$1" && pwd)
rounds=${2:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -o "$work/rate" "$here/rate.c" -I"$here/../../include" $(pkg-config --cflags libdpdk) \
	"$lib/libpcap.so.0.8" $(pkg-config --libs libdpdk)
hosts=$(awk 'BEGIN { for (i = 0; i < 1000; i++)
	printf "%shost 10.%d.%d.%d", i ? " or " : "", i % 7, i % 251, (i * 37) % 256 }')
file="$here/../../tests/clients/data/mixed.pcap"
rate() { LD_LIBRARY_PATH=$lib PCAP_PLUGIN_DIR=$lib "$work/rate" "$@"; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "| device | bare | unfiltered | tcp port 80 | port 8888 | 1,000 hosts |"
echo "|---|---|---|---|---|---|"
for device in net_null0,size=64 "net_pcap0,rx_pcap=$file,infinite_rx=1"; do
	rm -f "$work"/r.*
	for round in $(seq "$rounds"); do
		rate bare "$device" 1 >>"$work/r.bare"
		rate pcap "$device" 1 >>"$work/r.none"
		rate pcap "$device" 1 'tcp port 80' >>"$work/r.http"
		rate pcap "$device" 1 'port 8888' >>"$work/r.8888"
		rate pcap "$device" 1 "$hosts" >>"$work/r.hosts"
	done
	bare=$(median "$work/r.bare")
	printf '| %s | %s |' "${device%%0,*}" "$bare"
	for kind in none http 8888 hosts; do
		m=$(median "$work/r.$kind")
		printf ' %s (%s %%) |' "$m" "$(awk "BEGIN { printf \"%.0f\", 100 * $m / $bare }")"
	done
	echo
done
