//! Links to database servers, shared by all tasks of a worker.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tidegate_sandbox::SqlError;
use tokio::runtime::Handle;

use crate::postgres::{Server, ServerPool};

/// The pools of a worker; links are made when they are needed, and closed when the last task that
/// uses them has gone.
#[derive(Debug)]
pub struct Pools {
    /// Where it was made: links stay there, whoever asks for them.
    runtime: Option<Handle>,
    servers: Mutex<HashMap<Server, Weak<ServerPool>>>,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            runtime: Handle::try_current().ok(),
            servers: Mutex::default(),
        }
    }
}

impl Pools {
    /// The links to `server`.
    ///
    /// # Errors
    /// If its settings can never work.
    pub(crate) fn server(&self, server: Server) -> Result<Arc<ServerPool>, SqlError> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = servers.get(&server).and_then(Weak::upgrade) {
            return Ok(pool);
        }
        servers.retain(|_, pool| pool.strong_count() > 0);
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => Handle::try_current().map_err(|_| {
                SqlError::Denied("links to servers need a tokio runtime".to_owned())
            })?,
        };
        let pool = Arc::new(ServerPool::new(server.clone(), runtime)?);
        servers.insert(server, Arc::downgrade(&pool));
        Ok(pool)
    }
}
