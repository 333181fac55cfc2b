//! A sink that breaks the contract as its key `misbehave` says, and discards records otherwise.
//! README.md beside the workspace lists the words.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code)]

mod connector;
mod task;

use tidegate_sdk::bindings::sink_world as world;

struct Hostile;

world::__export_sink_world!(Hostile with_types_in world);
