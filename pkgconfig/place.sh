#!/bin/bash
# Puts the built library and what goes with it in their places; called by make.
#
#   place.sh ROOT LIB_DIR PREFIX LIB    ROOT and LIB_DIR are where the files go now, PREFIX and LIB what libpcap.pc and
#                                       pcap-config say; PREFIX "relative" has them look from where they stand
#
# TARGET: cargo's directory; SONAME, API_VERSION, LIBS_STATIC: see the Makefile; STRIP: may be empty.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$1 lib_dir=$2 prefix=$3 lib=$4

install -d "$root/bin" "$root/include/pcap" "$lib_dir/pkgconfig"
install -m 755 "$TARGET/release/libpcap.so" "$lib_dir/libpcap.so.$API_VERSION"
install -m 644 "$TARGET/release/libpcap.a" "$lib_dir/libpcap.a"
if [ -n "${STRIP:-}" ]; then
    $STRIP "$lib_dir/libpcap.so.$API_VERSION" "$lib_dir/libpcap.a"
fi
for name in libpcap.so libpcap.so.1 libpcap.so.0.8 "$SONAME"; do
    ln -sf "libpcap.so.$API_VERSION" "$lib_dir/$name"
done
if [ -n "${HAVE_DPDK:-}" ]; then
    install -m 755 "$TARGET/release/libpcap_dpdk.so" "$lib_dir/libpcap-dpdk.so"
fi
install -m 644 include/*.h "$root/include"
install -m 644 include/pcap/*.h "$root/include/pcap"

# fill TEMPLATE FILE PREFIX LIB
fill() {
    local template
    template=$(< "$1")
    template=${template//@PREFIX@/"$3"}
    template=${template//@LIBDIR@/"$4"}
    template=${template//@VERSION@/"$API_VERSION"}
    printf '%s\n' "${template//@LIBS_STATIC@/"$LIBS_STATIC"}" > "$2"
}
if [ "$prefix" = relative ]; then
    fill pkgconfig/libpcap.pc.in "$lib_dir/pkgconfig/libpcap.pc" '${pcfiledir}/../..' '${prefix}/lib'
    fill pkgconfig/pcap-config.in "$root/bin/pcap-config" '$(cd "$(dirname "$0")/.." && pwd)' '$prefix/lib'
else
    fill pkgconfig/libpcap.pc.in "$lib_dir/pkgconfig/libpcap.pc" "$prefix" "$lib"
    fill pkgconfig/pcap-config.in "$root/bin/pcap-config" "$prefix" "$lib"
fi
chmod 755 "$root/bin/pcap-config"
