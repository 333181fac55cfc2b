//! The one place that trusts bytes as machine code.
#![allow(
    unsafe_code,
    reason = "loading precompiled code is unsafe by its nature; proof below"
)]

use wasmtime::Engine;
use wasmtime::component::Component;

/// Turns what [`crate::compile`] made back into a component.
///
/// Proof: `deserialize` is unsafe because forged bytes would run as native code. Every caller is
/// in `compile.rs` and passes bytes from one of two places: the answer of our own compiler
/// process over a pipe, or a file of the cache directory, which only this user may write (mode
/// and owner are checked when the sandbox starts), read into memory once and compared with the
/// checksum in its header before use, so that nobody can change them in between. Bytes of another
/// wasmtime version or configuration are refused by wasmtime itself.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    unsafe { Component::deserialize(engine, code) }
}
