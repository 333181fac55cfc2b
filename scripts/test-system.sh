#!/usr/bin/env bash
# Runs the whole-system tests, one file after the other, each against a Kafka of its own.
#
# usage: scripts/test-system.sh [FILE...] [-- ARGS for the test binary]    e.g. delivery -- --nocapture
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
files=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    files+=("$1")
    shift
done
if [ ${#files[@]} = 0 ]; then
    for file in tests/tests/*.rs; do
        files+=("$(basename "$file" .rs)")
    done
fi

if ! ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1; then
    echo "test-system: no PostgreSQL server is installed. Install it with: apt-get install postgresql" >&2
    exit 1
fi

failed=()
for file in "${files[@]}"; do
    scripts/timed.sh "system tests: $file" \
        cargo test --release --locked --workspace --test "$file" "$@" || failed+=("$file")
done
if [ ${#failed[@]} != 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
