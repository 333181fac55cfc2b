//! The world `source` and the imports of both worlds, generated from `wit/`.
//!
//! A crate of its own because the export macros of two worlds that share an interface collide
//! inside one crate. Connectors use `tidegate-sdk`, not this.

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "source",
    pub_export_macro: true,
    export_macro_name: "__export_source_world",
    default_bindings_module: "tidegate_source_world",
    runtime_path: "::tidegate_source_world::__rt",
    generate_all,
});

extern crate self as tidegate_source_world;
#[doc(hidden)]
pub use wit_bindgen::rt as __rt;
