#!/usr/bin/env bash
# Gives this machine a Rust toolchain for wasm32-wasip2 and writes DIR/env.sh, to be sourced before
# cargo. Does nothing when that is there already.
#
# usage: scripts/rust-wasm-setup.sh [DIR]
#
# Two ways, tried in this order unless RUST_WASM_ROUTE=rustup|debian picks one:
#   rustup   adds the target to the toolchain in use
#   debian   for machines where rustup may not download: unpacks Debian's rustc and wasi-libc under
#            DIR and compiles the standard library once (about 600 MB and two minutes). Needs no
#            root, installs nothing, leaves the system's package lists alone.
set -euo pipefail

target=wasm32-wasip2
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/rust-wasm}
route=${RUST_WASM_ROUTE:-auto}

say() { echo "rust-wasm-setup: $*" >&2; }
die() { say "error: $*"; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is missing: $2"; }

need cargo "install Rust with rustup, see https://rustup.rs"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# Two builds at a time must not unpack into the same place.
exec 9>"$dir/lock"
! command -v flock >/dev/null || flock 9

# Whether the compiler named by env.sh has a standard library for the target.
ready() {
    [ -f "$dir/env.sh" ] || return 1
    (
        . "$dir/env.sh"
        [ "$route" = auto ] || [ "$route" = "$TIDEGATE_WASM_ROUTE" ] || exit 1
        sysroot=$("${RUSTC:-rustc}" --print sysroot) || exit 1
        ls "$sysroot/lib/rustlib/$target/lib"/libstd-*.rlib
    ) >/dev/null 2>&1
}

finish() { # ROUTE [RUSTC]
    {
        echo "export TIDEGATE_WASM_ROUTE=$1"
        [ -z "${2:-}" ] || printf 'export RUSTC=%q\nunset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER\n' "$2"
    } >"$dir/env.sh"
    ready || die "$1 toolchain is incomplete, delete $dir and run this again"
    say "ready ($1)"
}

by_rustup() {
    command -v rustup >/dev/null || { say "no rustup here"; return 1; }
    rustup target list --installed | grep -qx "$target" && return
    say "adding $target with rustup"
    timeout 120 rustup target add "$target" >"$dir/rustup.log" 2>&1 && return
    say "rustup cannot add $target: $(tail -n 1 "$dir/rustup.log")"
    return 1
}

# apt with lists and a cache of its own.
apt_private() {
    local tool=$1
    shift
    "$tool" -qq -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$dir/apt" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$dir/apt/cache" \
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Languages=none "$@"
}

# The mirrors that this machine's own apt uses.
mirrors() {
    # Either of the two may be missing.
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | sed 's/#.*//; s/\[[^]]*\]//' |
        grep -E '^(deb|URIs:)' | tr ' ' '\n' | grep -E '^(https?|mirror.*|file):.*debian' | sort -u
}

fetch_packages() {
    local main security key=/usr/share/keyrings/debian-archive-keyring.gpg signed=
    main=$(mirrors | grep -v security | head -n 1) || die "/etc/apt names no Debian mirror"
    security=$(mirrors | grep security | head -n 1) || security=${main%/}-security
    [ ! -f "$key" ] || signed="[signed-by=$key]"
    rm -rf "$dir/apt" "$dir/debs"
    mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/debs"
    # The compiler comes from one suite, its wasm libc from another.
    printf "deb $signed %s main\n" "$security bookworm-security" "$main bookworm" \
        "$main bookworm-backports" "$main trixie-backports" >"$dir/apt/sources.list"
    say "reading package lists"
    apt_private apt-get update >"$dir/apt.log" 2>&1 || die "apt-get update: $(tail -n 1 "$dir/apt.log")"

    local rustc series llvm
    rustc=$(apt_private apt-cache show rustc-web | sed -n 's/^Version: //p' | sort -V | tail -n 1)
    [ -n "$rustc" ] || die "this mirror has no rustc-web"
    series=$(echo "$rustc" | cut -d. -f1,2)
    llvm=$(apt_private apt-cache depends "libstd-rust-web-$series=$rustc" "rustc-web=$rustc" |
        grep -oE 'libllvm[0-9]+$' | sort -u)
    say "downloading rustc $rustc and wasi-libc"
    (cd "$dir/debs" && apt_private apt-get download "rustc-web=$rustc" "rust-web-src=$rustc" \
        "libstd-rust-web-$series=$rustc" "libstd-rust-web-dev=$rustc" $llvm wasi-libc/trixie-backports) \
        >>"$dir/apt.log" 2>&1 || die "apt-get download: $(tail -n 1 "$dir/apt.log")"
}

# Debian's compiler brings no linkers; those of any rustup toolchain will do.
linkers() {
    local found
    for found in "$(rustc --print sysroot 2>/dev/null)" "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/*; do
        found=$found/lib/rustlib/x86_64-unknown-linux-gnu/bin
        [ -x "$found/wasm-component-ld" ] && echo "$found" && return
    done
    die "no rust toolchain here has wasm-component-ld: rustup toolchain install stable"
}

unpack() {
    local deb
    say "unpacking"
    rm -rf "$dir/root"
    mkdir -p "$dir/root"
    for deb in "$dir"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/root" --exclude './usr/share/*'
    done
    mkdir -p "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu"
    ln -sfn "$linkers" "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' \
        "$sysroot/lib/x86_64-linux-gnu" "$sysroot/bin/rustc" >"$dir/rustc"
    chmod +x "$dir/rustc"
    "$dir/rustc" --version >/dev/null || die "the unpacked rustc does not start, a library is missing:" \
        "$(ldd "$sysroot"/lib/x86_64-linux-gnu/libLLVM*.so* | awk '/not found/ { print $1 }' | sort -u | xargs)" \
        "(find its package with apt-file search, install it with apt-get install)"
}

compile_std() {
    local lib=$sysroot/lib/rustlib/$target/lib work=$dir/std file
    say "compiling the standard library, once"
    rm -rf "$work"
    mkdir -p "$lib/self-contained" "$work/src"
    cp "$sysroot/lib/$target"/{crt1-command.o,crt1-reactor.o,libc.a} "$lib/self-contained/"
    : >"$work/src/lib.rs"
    printf '%s\n' '[package]' 'name = "seed"' 'edition = "2024"' '[workspace]' \
        '[profile.release]' 'codegen-units = 1' 'panic = "abort"' >"$work/Cargo.toml"
    # Bitcode is what lets a guest's link-time optimisation reach into the library.
    (cd "$work" && env -u RUSTC_WRAPPER -u CARGO_ENCODED_RUSTFLAGS RUSTC="$dir/rustc" RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/target" \
        cargo build --release --target "$target" -Zbuild-std=std,panic_abort) >"$dir/std.log" 2>&1 ||
        die "the standard library does not compile, see $dir/std.log"
    for file in "$work/target/$target/release/deps"/lib*.r{lib,meta}; do
        case $file in */libseed-*) ;; *) cp "$file" "$lib/" ;; esac
    done
}

by_debian() {
    local tool
    for tool in apt-get apt-cache dpkg-deb; do need "$tool" "this way needs Debian or a relative of it"; done
    need gcc "apt-get install gcc"
    need tar "apt-get install tar"
    [ "$(uname -m)" = x86_64 ] || die "the debian way knows x86_64 only, this is $(uname -m)"
    sysroot=$dir/root/usr
    linkers=$(linkers)
    fetch_packages
    unpack
    compile_std
    rm -rf "$dir/apt" "$dir/debs" "$dir/std" "$sysroot/src" "$sysroot/lib/rustlib/src"
}

if ready; then
    say "up to date"
elif [ "$route" != debian ] && by_rustup; then
    finish rustup
elif [ "$route" = rustup ]; then
    die "rustup cannot provide $target, try RUST_WASM_ROUTE=debian"
else
    by_debian
    finish debian "$dir/rustc"
fi
