#!/bin/bash
# check.sh LIBDIR [all] : run client programs on the system's libpcap and on LIBDIR's, and compare.
# Without "all", the representative jobs below, whose Debian packages `check.sh packages` prints.
# Needs root and the packages (packages.txt for "all"); what differs is shown and fails, unless
# explained.txt says why it must and expected/ has just what this library gives.
set -eu
jobs='tcpdump-live-c tcpdump-live-w tcpdump-live-w-nano-imm tcpdump-r-w tcpdump-r-stdin tcpdump-d-filters
tcpdump-r-mixed-be-pcapng arping nping-tcp ngrep-live p0f dnscap dnscap-pcapdump netsniff-ng tcpreplay-2nic
softflowd-daemon scapy-live net-pcap-perl net-pcap-perl-live pcapy-offline'
packages='tcpdump arping nmap ngrep p0f dnscap netsniff-ng tcpreplay softflowd python3-scapy libnet-pcap-perl
python3-pcapy python3 perl iproute2 ethtool procps'
if [ "${1:-}" = packages ]; then echo $packages; exit 0; fi
here=$(cd "$(dirname "$0")" && pwd)
lib=$(readlink -f "$1")
if [ "$(id -u)" != 0 ]; then echo "SKIPPED: client programs need root"; [ -z "${CI:-}" ]; exit; fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
only=()
[ "${2:-}" = all ] || only=(--only "^($(echo $jobs | tr ' ' '|'))\$")
# run LIB NAME SHARDS [OPTION...]
run() { SHARDS=$3 "$here/run_matrix.sh" "$1" "$out/$2" "${@:4}" >"$out/$2.log" 2>&1 || { cat "$out/$2.log"; exit 1; }; }
run system reference 2 "${only[@]}"
run "$lib" ours 2 "${only[@]}"
result=$("$here/compare.sh" "$out/reference" "$out/ours") && { echo "$result"; exit 0; }
echo "$result"
# Once more, one by one: on a busy machine a signal may come before its program is ready for it.
again=$(sed -n 's/^different: *//p' <<<"$result")
only=(--only "^($(tr ' ' '|' <<<"$again"))\$")
run system reference-again 1 "${only[@]}"
run "$lib" ours-again 1 "${only[@]}"
result=$("$here/compare.sh" "$out/reference-again" "$out/ours-again" -v) && { echo "$result"; exit 0; }
echo "$result"
failed=0
for job in $(sed -n 's/^different: *//p' <<<"$result"); do
  reason=$(sed -n "s/^$job: //p" "$here/explained.txt")
  if [ "$reason" ] && diff -a "$here/expected/$job.txt" "$out/ours-again/norm/$job.txt"; then
    echo "explained: $job: $reason"
  else
    echo "NOT EXPLAINED: $job"; failed=1
  fi
done
exit $failed
