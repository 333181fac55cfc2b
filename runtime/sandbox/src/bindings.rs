//! Host bindings of the contract in `wit/`. Three worlds of our own name what the host calls:
//! what every plugin has, and the two kinds of task. They share the imported interfaces.

#![allow(
    missing_docs,
    reason = "generated; the WIT files are the documentation"
)]
#![allow(clippy::all, reason = "generated")]

/// What every plugin exports: describe, validate, plan.
pub mod plugin {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package tidegate:host-plugin;
            world plugin {
                include tidegate:connect/host@0.1.0-draft;
                export tidegate:connect/connector@0.1.0-draft;
            }
        ",
        world: "tidegate:host-plugin/plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "tidegate:connect/records.batch": crate::batch::BatchHandle,
            "tidegate:connect/sql.connection": crate::host_sql::OpenConnection,
            "tidegate:connect/sql.cursor": crate::host_sql::OpenCursor,
        },
    });
}

/// The task of a source.
pub mod source {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package tidegate:host-source;
            world source-only {
                include tidegate:connect/host@0.1.0-draft;
                export tidegate:connect/source-task@0.1.0-draft;
            }
        ",
        world: "tidegate:host-source/source-only",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "tidegate:connect/types": super::plugin::tidegate::connect::types,
            "tidegate:connect/records": super::plugin::tidegate::connect::records,
            "tidegate:connect/sql": super::plugin::tidegate::connect::sql,
            "tidegate:connect/log": super::plugin::tidegate::connect::log,
            "tidegate:connect/intake": super::plugin::tidegate::connect::intake,
        },
    });
}

/// The task of a sink.
pub mod sink {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package tidegate:host-sink;
            world sink-only {
                include tidegate:connect/host@0.1.0-draft;
                export tidegate:connect/sink-task@0.1.0-draft;
            }
        ",
        world: "tidegate:host-sink/sink-only",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "tidegate:connect/types": super::plugin::tidegate::connect::types,
            "tidegate:connect/records": super::plugin::tidegate::connect::records,
            "tidegate:connect/sql": super::plugin::tidegate::connect::sql,
            "tidegate:connect/log": super::plugin::tidegate::connect::log,
            "tidegate:connect/intake": super::plugin::tidegate::connect::intake,
        },
    });
}

pub use plugin::tidegate::connect::{intake, log, records, sql, types};
