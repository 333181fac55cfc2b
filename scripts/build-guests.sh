#!/usr/bin/env bash
# Builds every guest of this repository into target/guests/ (hostile ones: target/guests/hostile/).
#
# usage: scripts/build-guests.sh [WORKSPACE...]     default: connectors-wasm tests/guests
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/rust-wasm

"$root/scripts/rust-wasm-setup.sh" "$prefix"
. "$prefix/env.sh"
# Flags meant for the host (a linker, a CPU) mean nothing to WebAssembly.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_TARGET_DIR

[ $# -gt 0 ] || set -- connectors-wasm tests/guests
for workspace in "$@"; do
    case $workspace in
        tests/guests) out=$root/target/guests/hostile ;;
        *) out=$root/target/guests ;;
    esac
    echo "build-guests: $workspace" >&2
    # From inside the workspace, so that cargo finds its .cargo/config.toml. A compiler of another
    # version must not see the same target directory, hence one per route.
    built=$root/$workspace/target/guests-$TIDEGATE_WASM_ROUTE
    (cd "$root/$workspace" && CARGO_TARGET_DIR=$built cargo build --locked --release --target wasm32-wasip2)
    mkdir -p "$out"
    for file in "$built"/wasm32-wasip2/release/*.wasm; do
        name=$(basename "$file" | tr _ -)
        cmp -s "$file" "$out/$name" || cp "$file" "$out/$name"
    done
done
ls -l "$root"/target/guests/*.wasm | awk '{ printf "build-guests: %s (%d KB)\n", $NF, $5 / 1024 }' >&2
