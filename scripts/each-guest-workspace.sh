#!/usr/bin/env bash
# Runs a command in each workspace of guests: they are not members of the root workspace, because
# they compile to WebAssembly.
#
# usage: scripts/each-guest-workspace.sh COMMAND...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Under one target directory, workspaces with equal crate names would build over each other.
unset CARGO_TARGET_DIR
for workspace in guest-sdk/rust connectors-wasm tests/guests; do
    [ -f "$root/$workspace/Cargo.toml" ] || continue
    echo "--> $workspace: $*" >&2
    (cd "$root/$workspace" && "$@")
done
