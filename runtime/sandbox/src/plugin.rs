//! A loaded plugin: a compiled component, what it says of itself, and the calls on its connector.
//! No instance stays alive between these calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_model::config::ConfigMap;
use tidegate_model::definition::Definition;
use tidegate_model::names::{self, NameError, TaskId};
use tidegate_model::offset::{SourceOffset, SourcePartition};
use tidegate_model::plugin::{Description, PluginKind, Want};
use wasmtime::component::InstancePre;

use crate::bindings::plugin::{Plugin as Exports, exports::tidegate::connect::connector};
use crate::call::Instance;
use crate::compile::CompileError;
use crate::component::{self, ComponentError};
use crate::engine::{Sandbox, Shared};
use crate::error::{CallError, shortened};
use crate::sink::SinkTask;
use crate::source::SourceTask;
use crate::sql::NoSql;
use crate::state::{HostState, TaskContext, TaskSetup};

/// Task configurations of one plan: they are kept in the config log and in memory for good.
const MAX_PLAN_BYTES: usize = 4 << 20;

/// Why bytes are not accepted as a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a component of one of our worlds.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// Does not compile.
    #[error("compile the component: {0}")]
    Compile(#[from] CompileError),
    /// It imports what the host does not have.
    #[error("link the component: {0}")]
    Link(String),
    /// `describe` does not answer.
    #[error("describe the plugin: {0}")]
    Describe(#[from] CallError),
    /// It calls itself something illegal.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// How long each stage of loading took.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadTimings {
    /// Compiling, or fetching from the cache.
    pub compile: Duration,
    /// Whether it came from the cache.
    pub cached: bool,
    /// Linking, instantiating and calling `describe`.
    pub describe: Duration,
}

/// A compiled component of a known kind.
pub struct Plugin {
    shared: Arc<Shared>,
    pre: InstancePre<HostState>,
    kind: PluginKind,
    description: Description,
}

/// What `plan` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// One configuration a task.
    pub tasks: Vec<ConfigMap>,
}

impl Sandbox {
    /// Checks, compiles (or finds in the cache) and describes a component.
    ///
    /// # Errors
    /// [`LoadError`] says at which stage the bytes were refused and why.
    pub async fn load(
        &self,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(Plugin, LoadTimings), LoadError> {
        component::check_header(bytes)?;
        let shared = &self.shared;
        let start = Instant::now();
        let (component, cached) = shared.compiler.component(digest, bytes).await?;
        let compile = start.elapsed();
        let kind = component::kind(&shared.engine, &component)?;
        let pre = shared
            .linker
            .instantiate_pre(&component)
            .map_err(|e| LoadError::Link(format!("{e:#}")))?;
        let description = describe(shared, &pre).await?;
        names::plugin_name(&description.name, &description.version)?;
        let plugin = Plugin {
            shared: Arc::clone(shared),
            pre,
            kind,
            description,
        };
        let describe = start.elapsed().saturating_sub(compile);
        Ok((
            plugin,
            LoadTimings {
                compile,
                cached,
                describe,
            },
        ))
    }
}

impl Plugin {
    /// Source or sink.
    pub fn kind(&self) -> PluginKind {
        self.kind
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The plugin's own opinion of a configuration: key and message.
    ///
    /// # Errors
    /// If the guest does not answer.
    pub async fn validate(&self, setup: &TaskSetup) -> Result<Vec<(String, String)>, CallError> {
        let mut instance = self.connector(setup).await?;
        let config = config_to_guest(&setup.config);
        let issues = instance
            .call("validate", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_connector()
                        .call_validate(store, &config)
                        .await
                })
            })
            .await?;
        Ok(issues
            .into_iter()
            .map(|issue| (shortened(issue.key), shortened(issue.message)))
            .collect())
    }

    /// Task configurations for at most `max_tasks` tasks.
    ///
    /// # Errors
    /// If the guest fails, or answers more tasks than that.
    pub async fn plan(
        &self,
        setup: &TaskSetup,
        max_tasks: u32,
        positions: &[(SourcePartition, SourceOffset)],
    ) -> Result<Planned, CallError> {
        let mut instance = self.connector(setup).await?;
        let config = config_to_guest(&setup.config);
        let positions = positions_to_guest(positions);
        let tasks = instance
            .call("plan", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_connector()
                        .call_plan(store, &config, max_tasks, &positions)
                        .await
                })
            })
            .await??;
        if tasks.len() > max_tasks as usize {
            return Err(CallError::malformed(
                "plan",
                format!("{} tasks where tasks.max is {max_tasks}", tasks.len()),
            ));
        }
        let bytes: usize = tasks.iter().flatten().map(|(k, v)| k.len() + v.len()).sum();
        if bytes > MAX_PLAN_BYTES {
            return Err(CallError::malformed(
                "plan",
                format!("task configurations of {bytes} bytes, where {MAX_PLAN_BYTES} are allowed"),
            ));
        }
        let tasks = tasks
            .into_iter()
            .map(task_config)
            .collect::<Result<_, _>>()?;
        Ok(Planned { tasks })
    }

    /// A source task, not started yet.
    ///
    /// # Errors
    /// If the instance cannot be made.
    pub async fn source_task(&self, setup: &TaskSetup) -> Result<SourceTask, CallError> {
        let own_transactions = self.description.own_transactions;
        SourceTask::new(&self.shared, &self.pre, setup, own_transactions).await
    }

    /// A sink task, not started yet.
    ///
    /// # Errors
    /// If the instance cannot be made.
    pub async fn sink_task(&self, setup: &TaskSetup) -> Result<SinkTask, CallError> {
        SinkTask::new(&self.shared, &self.pre, setup).await
    }

    async fn connector(&self, setup: &TaskSetup) -> Result<Instance<Exports>, CallError> {
        Instance::new(&self.shared, &self.pre, setup, |store, instance| {
            Exports::new(store, instance)
        })
        .await
    }
}

/// A configuration from a guest; a key that comes twice would silently lose a value.
fn task_config(pairs: Vec<(String, String)>) -> Result<ConfigMap, CallError> {
    let mut config = ConfigMap::new();
    for (key, value) in pairs {
        if config.contains_key(&key) {
            return Err(CallError::malformed(
                "plan",
                format!("a task configuration with {key:?} twice"),
            ));
        }
        config.insert(key, value);
    }
    Ok(config)
}

async fn describe(
    shared: &Arc<Shared>,
    pre: &InstancePre<HostState>,
) -> Result<Description, CallError> {
    let setup = TaskSetup {
        context: TaskContext {
            id: TaskId::new("describe", 0),
            tasks: 0,
            generation: 0,
            exactly_once: false,
        },
        config: ConfigMap::new(),
        limits: shared.limits,
        directories: Vec::new(),
        sql: Arc::new(NoSql),
        cpu: Default::default(),
    };
    let mut instance =
        Instance::new(shared, pre, &setup, |store, i| Exports::new(store, i)).await?;
    let description = instance
        .call("describe", |store, guest| {
            Box::pin(async move {
                guest
                    .tidegate_connect_connector()
                    .call_describe(store)
                    .await
            })
        })
        .await?;
    Ok(description_to_host(description))
}

pub(crate) fn config_to_guest(config: &ConfigMap) -> Vec<(String, String)> {
    config.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

pub(crate) fn positions_to_guest(
    positions: &[(SourcePartition, SourceOffset)],
) -> Vec<(String, String)> {
    positions
        .iter()
        .map(|(p, o)| (p.to_string(), o.to_string()))
        .collect()
}

fn description_to_host(description: connector::Description) -> Description {
    let definition = |d: connector::Definition| Definition {
        name: d.name,
        kind: d.kind,
        importance: d.importance,
        documentation: d.documentation,
        group: d.group,
        display_name: d.display_name,
        default: d.default,
        required: d.required,
        choices: d.choices,
        dependents: d.dependents,
    };
    Description {
        name: description.name,
        version: description.version,
        documentation: description.documentation,
        aliases: description.aliases,
        definitions: description
            .definitions
            .into_iter()
            .map(definition)
            .collect(),
        wants: description
            .wants
            .into_iter()
            .map(|want| Want {
                kind: want.kind,
                key: want.key,
            })
            .collect(),
        exactly_once: description.exactly_once,
        own_transactions: description.own_transactions,
        replan_interval_ms: description.replan_interval,
    }
}
