#!/bin/bash
# tests/threads.rs under ThreadSanitizer: no report, and one where there is a race.
#
#   tests/thread_sanitizer.sh [MILLIS]        MILLIS: how long each test goes on; default 3000
#
# Needs the toolchain's sanitizer runtime (there is one for Linux), the sources of the standard library, which is built with it (rustup's
# component rust-src; asked for if it is not there), and -Z flags (RUSTC_BOOTSTRAP). 77: they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
millis=${1:-3000}
target=x86_64-unknown-linux-gnu
lib=$(rustc --print sysroot)/lib/rustlib
[ -d "$lib/src/rust/library" ] || rustup component add rust-src > /dev/null 2>&1 || true
for needed in "$lib/$target/lib/librustc-stable_rt.tsan.a" "$lib/src/rust/library"; do
    if [ ! -e "$needed" ]; then
        echo "SKIPPED: no $needed" >&2
        exit 77
    fi
done
out=$PWD/target/tsan
log=$out/log
mkdir -p "$out"

# Cargo tells the path of the test program.
program=$(RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out \
    RUSTFLAGS=-Zsanitizer=thread CARGO_PROFILE_FUZZ_OPT_LEVEL=1 \
    cargo test -Zbuild-std --profile fuzz --target $target -p oxpcap-fuzz --test threads --no-run 2>&1 | tee /dev/stderr |
    sed -n 's/.*Executable.*(\(.*\))/\1/p')

run() { OXPCAP_THREAD_MILLIS=$1 TSAN_OPTIONS=exitcode=66 "$program" --test-threads=1 "${@:2}" > "$log" 2>&1; }

echo "a race on purpose"
status=0
run 200 --ignored deliberate_race || status=$?
if [ $status -eq 0 ] || ! grep -q 'WARNING: ThreadSanitizer: data race' "$log"; then
    echo "ThreadSanitizer did not report it" >&2
    exit 1
fi

echo "eight threads, $millis ms a test"
status=0
run "$millis" || status=$?
grep -A14 'WARNING: ThreadSanitizer' "$log" >&2 || true
grep '^test ' "$log"
if [ $status -ne 0 ] || grep -q 'WARNING: ThreadSanitizer' "$log"; then
    echo "failed with status $status; see $log" >&2
    exit 1
fi
