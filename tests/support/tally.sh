# Sourced by test scripts: counts what passed and failed. What cannot be tested here is skipped, or fails in CI ($CI is set).
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }

# bad WHAT...
bad() {
    failed=$((failed + 1))
    echo "FAILED: $*" >&2
}

# skip WHY...
skip() {
    if [ "${CI:-}" ]; then bad "skipped: $*"; else
        skipped=$((skipped + 1))
        echo "SKIPPED: $*" >&2
    fi
}

# The last line of a script: says the counts; its status is the script's.
tally() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}
