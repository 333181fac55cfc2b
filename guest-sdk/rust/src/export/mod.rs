//! From a connector to the exports of a component.
//!
//! The macros only bind names: everything they call is in [`glue`], generic and tested natively.

pub mod glue;
mod wire;

/// Makes a component of world `source` from a type that is a [`Connector`](crate::Connector) and
/// a [`SourceTask`](crate::SourceTask). Once in a crate; on native targets only a type check.
#[macro_export]
macro_rules! export_source {
    ($task:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            use ::std::{option::Option, result::Result, string::String, vec::Vec};
            use world::exports::tidegate::connect::{connector, source_task};
            use $crate::__glue as glue;
            use $crate::bindings::source_world as world;

            $crate::__connector_exports!(connector, $task);

            impl source_task::Guest for Exported {
                fn start(
                    config: glue::Config,
                    context: glue::Context,
                    positions: Vec<(String, String)>,
                ) -> Result<(), glue::Failure> {
                    TASK.with(|slot| glue::start_source(slot, config, &context, &positions))
                }
                fn poll(rows: u32, bytes: u32) -> Result<source_task::Polled, glue::Failure> {
                    let poll = TASK.with(|slot| glue::poll(slot, rows, bytes))?;
                    Result::Ok(poll.into())
                }
                fn committed(positions: Vec<(String, String)>) -> Result<(), glue::Failure> {
                    TASK.with(|slot| glue::committed(slot, &positions))
                }
                fn stop() {
                    TASK.with(glue::stop_source)
                }
            }
    world::__export_source_world!(Exported with_types_in world);
        };
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = $crate::__glue::is_source::<$task>;
    };
}

/// Makes a component of world `sink` from a type that is a [`Connector`](crate::Connector) and a
/// [`SinkTask`](crate::SinkTask). Once in a crate; on native targets only a type check.
#[macro_export]
macro_rules! export_sink {
    ($task:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            use ::std::{option::Option, result::Result, string::String, vec::Vec};
            use world::exports::tidegate::connect::{connector, sink_task};
            use $crate::__glue as glue;
            use $crate::bindings::sink_world as world;

            $crate::__connector_exports!(connector, $task);

            impl sink_task::Guest for Exported {
                fn start(
                    config: glue::Config,
                    context: glue::Context,
                ) -> Result<(), glue::Failure> {
                    TASK.with(|slot| glue::start_sink(slot, config, &context))
                }
                fn open(
                    partitions: Vec<glue::TopicPartition>,
                ) -> Result<Vec<glue::Position>, glue::Failure> {
                    TASK.with(|slot| glue::open(slot, &partitions))
                }
                fn put(rows: glue::Held) -> Result<Vec<glue::Errant>, glue::Failure> {
                    TASK.with(|slot| glue::put(slot, rows))
                }
                fn flush(
                    accepted: Vec<glue::Position>,
                ) -> Result<sink_task::Flushed, glue::Failure> {
                    let flushed = TASK.with(|slot| glue::flush(slot, &accepted))?;
                    Result::Ok(flushed.into())
                }
                fn close(partitions: Vec<glue::TopicPartition>) -> Result<(), glue::Failure> {
                    TASK.with(|slot| glue::close(slot, &partitions))
                }
                fn stop() {
            TASK.with(glue::stop_sink)
                }
            }
            world::__export_sink_world!(Exported with_types_in world);
        };
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = $crate::__glue::is_sink::<$task>;
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __connector_exports {
    ($connector:ident, $task:ty) => {
        ::std::thread_local! {
            static TASK: glue::Slot<$task> = const { glue::Slot::new() };
        }
        struct Exported;
        impl $connector::Guest for Exported {
            fn describe() -> $connector::Description {
                glue::describe::<$task>().into()
            }
            fn validate(config: glue::Config) -> Vec<$connector::Issue> {
                let issues = glue::validate::<$task>(config);
                issues
                    .into_iter()
                    .map(::core::convert::Into::into)
                    .collect()
            }
            fn plan(
                config: glue::Config,
                max_tasks: u32,
                positions: Vec<(String, String)>,
            ) -> Result<Vec<glue::Config>, glue::Failure> {
                glue::plan::<$task>(config, max_tasks, &positions)
            }
            fn alter_offsets(
                config: glue::Config,
                offsets: Vec<(String, Option<String>)>,
            ) -> Result<bool, glue::Failure> {
                glue::alter_offsets::<$task>(config, &offsets)
            }
        }
    };
}
