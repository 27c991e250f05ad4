#!/bin/bash
# run.sh LIBDIR : bindings from other languages on the system's libpcap and on LIBDIR's, which must give the same.
#
# A program each for Rust (crate pcap), Go (gopacket) and Python (PyPI's libpcap, by ctypes) uses all that the binding offers:
# savefiles, filters and their errors, live capture on a veth pair in a network namespace, breakloop, devices. Rust's and Go's
# are built with the system's libpcap, and statically with LIBDIR's. Needs root; cargo, python3 with pip, what `run.sh packages`
# prints; crates.io and PyPI. What cannot be had is skipped, or fails in CI.
set -uo pipefail
packages='golang-go golang-github-google-gopacket-dev gcc libpcap0.8-dev python3-pip pkg-config iproute2'
if [ "${1:-}" = packages ]; then echo $packages; exit 0; fi
lib=$(realpath "$1")
cd "$(dirname "$0")"
here=$PWD
out=$(realpath ../../target)/bindings
static=$out/static
mkdir -p "$static"
cp "$lib/libpcap.a" "$static" || exit
. ../support/tally.sh

# apart COMMAND...: in a network namespace with a veth pair near-far, where nothing else sends.
apart() {
    timeout 60 unshare -n bash -c '
        echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
        ip link add near address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02
        ip address add 10.9.8.1/24 dev near
        for device in lo near far; do ip link set $device up; done
        until [ "$(ip link show | grep -c "state UP")" = 2 ]; do sleep 0.01; done
        exec "$@" '"'$here/../clients/data'"' near far' apart "$@"
    echo "status $?"
}

# same NAME WHAT PROGRAM-ON-THE-SYSTEM'S -- PROGRAM-ON-OURS: once more if not, for a busy machine may be late for a packet.
same() {
    local name=$1 theirs=() attempt
    shift
    while [ "$1" != -- ]; do
        theirs+=("$1")
        shift
    done
    shift
    for attempt in 1 2; do
        [ -e "$out/$name.want" ] && [ "$attempt" = 1 ] || apart "${theirs[@]}" > "$out/$name.want" 2>&1
        apart "$@" > "$out/$name.got" 2>&1
        if cmp -s "$out/$name.want" "$out/$name.got"; then
            # A program that fails on both libraries shows nothing.
            if [ "$(tail -n 1 "$out/$name.got")" = 'status 0' ]; then ok; else
                bad "$name: $*"
                tail "$out/$name.got" >&2
            fi
            return
        fi
    done
    bad "$name: $*"
    diff -a "$out/$name.want" "$out/$name.got" | cut -c 1-300 | head -30 >&2
}

# build NAME COMMAND...
build() {
    if "${@:2}" > "$out/log" 2>&1; then ok; else
        bad "build $1"
        tail -20 "$out/log" >&2
        return 1
    fi
}

rust() {
    local options=(--quiet --locked --manifest-path rust/Cargo.toml) program=$out/rust/debug/bindings-rust
    local cargo=(cargo build "${options[@]}" --target-dir "$out/rust")
    command -v cargo > /dev/null || { skip "no cargo"; return; }
    cargo fetch "${options[@]}" --target "$(rustc -vV | sed -n 's/host: //p')" || { skip "crates.io cannot be reached"; return; }
    build rust "${cargo[@]}" && cp "$program" "$out/rust.system" || return
    same rust "$out/rust.system" -- env LD_LIBRARY_PATH="$lib" "$out/rust.system"
    build rust-static env LIBPCAP_LIBDIR="$static" LIBPCAP_VER=1.10.6 "${cargo[@]}" || return
    same rust "$out/rust.system" -- "$program"
}

go_() {
    export GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$out/gocache
    command -v go > /dev/null && [ -d $GOPATH/src/github.com/google/gopacket ] || { skip "no Go with gopacket"; return; }
    build go go build -o "$out/go.system" go/main.go || return
    same go "$out/go.system" -- env LD_LIBRARY_PATH="$lib" "$out/go.system"
    build go-static env CGO_CFLAGS="$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags libpcap)" \
        CGO_LDFLAGS="-L$static $(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --libs-only-l --static libpcap)" \
        go build -o "$out/go.static" go/main.go || return
    same go "$out/go.system" -- "$out/go.static"
}

python() {
    local modules=$out/python
    command -v python3 > /dev/null && python3 -m pip --version > /dev/null 2>&1 || { skip "no python3 with pip"; return; }
    cmp -s python/requirements.txt "$modules/requirements.txt" || {
        rm -rf "$modules"
        python3 -m pip install --quiet --root-user-action ignore --no-deps --target "$modules" -r python/requirements.txt \
            || { skip "PyPI cannot be reached"; return; }
        cp python/requirements.txt "$modules"
    }
    export PYTHONPATH=$modules PYTHONDONTWRITEBYTECODE=1
    case $(LD_LIBRARY_PATH=$lib python3 -c 'import libpcap; print(libpcap.lib_version())' 2>&1) in
        *oxpcap*) ok ;;
        *) bad "python3 does not load $lib/libpcap.so" ;;
    esac
    same python python3 python/main.py -- env LD_LIBRARY_PATH="$lib" python3 python/main.py
}

if [ "$(id -u)" != 0 ]; then skip "bindings need root"; else
    rm -f "$out"/*.want
    rust
    go_
    python
fi
for program in "$out/rust/debug/bindings-rust" "$out/go.static"; do
    if [ -e "$program" ] && ldd "$program" | grep libpcap; then bad "$program needs a shared libpcap"; fi
done
tally
