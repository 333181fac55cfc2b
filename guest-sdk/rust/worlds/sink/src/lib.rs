//! The world `sink`, generated from `wit/`; its imports are those of `tidegate-source-world`.
//!
//! Connectors use `tidegate-sdk`, not this.

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "sink",
    with: {
        "tidegate:connect/types@0.1.0-draft": tidegate_source_world::tidegate::connect::types,
        "tidegate:connect/records@0.1.0-draft": tidegate_source_world::tidegate::connect::records,
        "tidegate:connect/log@0.1.0-draft": tidegate_source_world::tidegate::connect::log,
        "tidegate:connect/sql@0.1.0-draft": tidegate_source_world::tidegate::connect::sql,
    },
    pub_export_macro: true,
    export_macro_name: "__export_sink_world",
    default_bindings_module: "tidegate_sink_world",
    runtime_path: "::tidegate_source_world::__rt",
});
