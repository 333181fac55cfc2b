//! A source that breaks the contract as its key `misbehave` says, and is a plain source of
//! numbered records otherwise. README.md beside the workspace lists the words.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code)]

mod columns;
mod connector;
mod explore;
mod task;

use tidegate_sdk::bindings::source_world as world;

struct Hostile;

world::__export_source_world!(Hostile with_types_in world);
