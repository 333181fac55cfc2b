//! What bytes have to be before anybody compiles them, and which kind of plugin they are after.

use tidegate_model::plugin::PluginKind;
use wasmtime::Engine;
use wasmtime::component::Component;

/// WebAssembly's magic number.
const MAGIC: &[u8] = b"\0asm";
/// Version and layer of a component and of a core module (component-model binary format).
const COMPONENT_LAYER: &[u8] = &[0x0d, 0, 1, 0];
const MODULE_LAYER: &[u8] = &[1, 0, 0, 0];

/// Why bytes cannot be a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// Nothing there.
    #[error("the body is empty: send the component itself, as with curl --data-binary @my.wasm")]
    Empty,
    /// Something else.
    #[error(
        "the body is not a WebAssembly component: it does not begin with the bytes 00 61 73 6d"
    )]
    NotWasm,
    /// A core module.
    #[error(
        "the body is a core WebAssembly module, not a component: build for wasm32-wasip2, or wrap \
         it with wasm-tools component new"
    )]
    CoreModule,
    /// A component format of another time.
    #[error("the body is a component in a binary format that this version does not read")]
    OtherFormat,
    /// It exports neither kind of task.
    #[error(
        "the component is of neither world: it has to export {0} and one of {1} and {2} of package \
         tidegate:connect@0.1.0-draft; it exports {3}"
    )]
    WrongWorld(&'static str, &'static str, &'static str, String),
    /// It exports both kinds of task.
    #[error("the component exports both a source task and a sink task: make two plugins of it")]
    BothWorlds,
}

const CONNECTOR: &str = "tidegate:connect/connector@0.1.0-draft";
const SOURCE_TASK: &str = "tidegate:connect/source-task@0.1.0-draft";
const SINK_TASK: &str = "tidegate:connect/sink-task@0.1.0-draft";

/// Refuses what is plainly no component, with the reason.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), ComponentError> {
    if bytes.is_empty() {
        return Err(ComponentError::Empty);
    }
    let layer = bytes.strip_prefix(MAGIC).ok_or(ComponentError::NotWasm)?;
    if layer.starts_with(COMPONENT_LAYER) {
        return Ok(());
    }
    if layer.starts_with(MODULE_LAYER) {
        return Err(ComponentError::CoreModule);
    }
    Err(ComponentError::OtherFormat)
}

/// Which kind of plugin a component is, by what it exports.
pub(crate) fn kind(engine: &Engine, component: &Component) -> Result<PluginKind, ComponentError> {
    let exports: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let has = |name: &str| exports.iter().any(|export| export == name);
    match (has(CONNECTOR), has(SOURCE_TASK), has(SINK_TASK)) {
        (true, true, false) => Ok(PluginKind::Source),
        (true, false, true) => Ok(PluginKind::Sink),
        (_, true, true) => Err(ComponentError::BothWorlds),
        _ => {
            let exports = if exports.is_empty() {
                "nothing".to_owned()
            } else {
                exports.join(", ")
            };
            Err(ComponentError::WrongWorld(
                CONNECTOR,
                SOURCE_TASK,
                SINK_TASK,
                exports,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        assert_eq!(check_header(b""), Err(ComponentError::Empty));
        assert_eq!(check_header(b"PK\x03\x04"), Err(ComponentError::NotWasm));
        assert_eq!(
            check_header(b"\0asm\x01\0\0\0"),
            Err(ComponentError::CoreModule)
        );
        assert_eq!(
            check_header(b"\0asm\x0a\0\x01\0"),
            Err(ComponentError::OtherFormat)
        );
        assert_eq!(check_header(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
