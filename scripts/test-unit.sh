#!/usr/bin/env bash
# Runs the tests of the runtime's crates, those in their tests/ folders too. With --workspace, so
# that every crate has the features that it has everywhere else: otherwise wasmtime compiles twice.
#
# usage: scripts/test-unit.sh [ARGS for the test binaries]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
files=()
for file in runtime/*/tests/*.rs; do
    [ -f "$file" ] && files+=(--test "$(basename "$file" .rs)")
done
cargo test --release --locked --workspace --lib --bins "${files[@]}" -- "$@"
