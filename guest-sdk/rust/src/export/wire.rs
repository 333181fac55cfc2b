//! Conversions into the types of each world. Both worlds export `connector`, so its types exist
//! twice, equal in all but name.

use super::glue::Described;
use crate::bindings::{sink_world, source_world};
use crate::config::Definition;
use crate::connector::Issue;
use crate::failure::millis;
use crate::records::Checkpoint;
use crate::sink::{Flushed, LateErrant};
use crate::source::{Boundary, Poll};

macro_rules! connector_types {
    ($world:ident) => {
        const _: () = {
            use $world::exports::tidegate::connect::connector as wire;

            impl From<Described> for wire::Description {
                fn from(Described { about, definitions }: Described) -> Self {
                    let want = |(kind, key): (&str, String)| wire::Want {
                        kind: kind.to_owned(),
                        key,
                    };
                    Self {
                        name: about.name,
                        version: about.version,
                        documentation: about.documentation,
                        aliases: about.aliases,
                        definitions: definitions.into_iter().map(Into::into).collect(),
                        wants: about.wants.into_iter().map(want).collect(),
                        exactly_once: about.exactly_once,
                        own_transactions: about.own_transactions,
                        replan_interval: about.replan_interval.map(millis),
                    }
                }
            }

            impl From<Definition> for wire::Definition {
                fn from(key: Definition) -> Self {
                    Self {
                        name: key.name,
                        kind: key.kind,
                        importance: key.importance,
                        documentation: key.documentation,
                        group: key.group,
                        display_name: key.display_name,
                        default: key.default,
                        required: key.required,
                        choices: key.choices,
                        dependents: key.dependents,
                    }
                }
            }

            impl From<Issue> for wire::Issue {
                fn from(issue: Issue) -> Self {
                    Self {
                        key: issue.key,
                        message: issue.message,
                        recommended: issue.recommended,
                    }
                }
            }
        };
    };
}

connector_types!(source_world);
connector_types!(sink_world);

const _: () = {
    use source_world::exports::tidegate::connect::source_task as wire;
    use source_world::tidegate::connect::intake;

    impl From<Poll> for wire::Polled {
        fn from(poll: Poll) -> Self {
            match poll {
                Poll::Idle(rest) => Self::Idle(millis(rest)),
                Poll::Waiting(rest) => Self::Waiting(millis(rest)),
                Poll::Finished => Self::Finished,
                Poll::Records(records) => {
                    for reason in &records.refused {
                        intake::refuse(reason);
                    }
                    if records.store_soon {
                        intake::store_soon();
                    }
                    let (columns, checkpoints) = records.finish();
                    let checkpoints = checkpoints.into_iter().map(Into::into).collect();
                    Self::Records((wire::Rows::Built(columns), checkpoints))
                }
            }
        }
    }

    impl From<Checkpoint> for wire::Checkpoint {
        fn from(checkpoint: Checkpoint) -> Self {
            Self {
                rows: u32::try_from(checkpoint.rows).unwrap_or(u32::MAX),
                partition: checkpoint.partition,
                offset: checkpoint.offset,
                boundary: match checkpoint.boundary {
                    Boundary::None => wire::Boundary::None,
                    Boundary::Commit => wire::Boundary::Commit,
                    Boundary::Abort => wire::Boundary::Abort,
                },
            }
        }
    }
};

const _: () = {
    use sink_world::exports::tidegate::connect::sink_task as wire;

    impl From<Flushed> for wire::Flushed {
        fn from(flushed: Flushed) -> Self {
            let errants = flushed.errants.into_iter().map(Into::into).collect();
            Self {
                durable: flushed.durable,
                errants,
            }
        }
    }

    impl From<LateErrant> for wire::LateErrant {
        fn from(errant: LateErrant) -> Self {
            Self {
                at: errant.at,
                offset: errant.offset,
                reason: errant.reason,
            }
        }
    }
};
