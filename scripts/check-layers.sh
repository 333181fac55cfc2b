#!/usr/bin/env bash
# Crates depend one way: each only on crates before it in this list. And `model` and `convert` stay
# pure: no runtime, directly or through others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
order=(model convert sandbox kafka connections cluster worker api cli)
failed=0
for i in "${!order[@]}"; do
    crate=${order[$i]}
    while read -r dependency; do
        for earlier in "${order[@]:0:$i}"; do
            [ "$earlier" != "$dependency" ] || continue 2
        done
        echo "check-layers: runtime/$crate may not depend on runtime/$dependency" >&2
        failed=1
    done < <(sed -n 's/^tidegate-\([a-z]*\)[ .].*/\1/p' "runtime/$crate/Cargo.toml")
done
for crate in model convert; do
    for runtime in tokio wasmtime rdkafka axum sled; do
        if cargo tree --locked --edges normal -p "tidegate-$crate" --prefix none | grep -q "^$runtime "; then
            echo "check-layers: runtime/$crate must stay pure, but has $runtime among its dependencies" >&2
            failed=1
        fi
    done
done
exit "$failed"
