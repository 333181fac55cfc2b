#!/usr/bin/env bash
# Makes sure that this machine can compile Rust to wasm32-wasip2.
#
# usage: scripts/rust-wasm-setup.sh DIR       writes DIR/env.sh, to be sourced before cargo
set -euo pipefail
dir=${1:?usage: rust-wasm-setup.sh DIR}
mkdir -p "$dir"
rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2
echo "export TIDEGATE_WASM_ROUTE=rustup" > "$dir/env.sh"
