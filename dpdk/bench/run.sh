#!/bin/sh
# dpdk/bench/run.sh LIBDIR [ROUNDS [DEVICE...]]: rates on virtual devices, interleaved, medians, as Markdown.
# LIBDIR has libpcap.so.0.8 and libpcap-dpdk.so of this project (stage/lib). DEVICE: null, pcap; default both.
set -eu
here=$(dirname "$0")
lib=$(cd "$1" && pwd)
rounds=${2:-7}
[ $# -gt 2 ] && shift 2 || set -- null pcap
seconds=0.3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -o "$work/rate" "$here/rate.c" -I"$here/../../include" $(pkg-config --cflags libdpdk) \
	"$lib/libpcap.so.0.8" $(pkg-config --libs libdpdk)
hosts=$(awk 'BEGIN { for (i = 0; i < 1000; i++)
	printf "%shost 10.%d.%d.%d", i ? " or " : "", i % 7, i % 251, (i * 37) % 256 }')
file=$(cd "$here/../.." && pwd)/tests/clients/data/mixed.pcap
rate() { LD_LIBRARY_PATH=$lib PCAP_PLUGIN_DIR=$lib "$work/rate" "$@"; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "| device | bare | bare, our buffers | unfiltered | tcp port 80 | port 8888 | 1,000 hosts |"
echo "|---|---|---|---|---|---|---|"
for kind in "$@"; do
	case $kind in
	null) device=net_null0,size=64 ;;
	pcap) device="net_pcap0,rx_pcap=$file,infinite_rx=1" ;;
	*) echo "$0: $kind: not null or pcap" >&2; exit 2 ;;
	esac
	rm -f "$work"/r.*
	for round in $(seq "$rounds"); do
		rate bare "$device" $seconds >>"$work/r.bare"
		rate spread "$device" $seconds >>"$work/r.spread"
		rate pcap "$device" $seconds >>"$work/r.none"
		rate pcap "$device" $seconds 'tcp port 80' >>"$work/r.http"
		rate pcap "$device" $seconds 'port 8888' >>"$work/r.8888"
		rate pcap "$device" $seconds "$hosts" >>"$work/r.hosts"
	done
	bare=$(median "$work/r.bare") spread=$(median "$work/r.spread")
	printf '| net_%s | %s | %s |' "$kind" "$bare" "$spread"
	for what in none http 8888 hosts; do
		m=$(median "$work/r.$what")
		printf ' %s (%s %%, %s %%) |' "$m" "$(awk "BEGIN { printf \"%.0f\", 100 * $m / $bare }")" \
			"$(awk "BEGIN { printf \"%.0f\", 100 * $m / $spread }")"
	done
	echo
done
