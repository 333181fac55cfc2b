//! A guest's connection to a SQLite database.

use std::sync::{Arc, Weak};

use tidegate_sandbox::{Errant, SinkBatch, SqlConnection, SqlError, SqlFuture, Table, Write};

use super::{
    insert,
    link::{Db, Link},
    table,
};
use crate::{
    cut_off::{CutOff, blocking},
    session::Shared,
};

/// A connection; weak, so that the session alone says how long the file stays open.
pub(crate) struct SqliteConnection {
    session: Weak<Shared>,
    link: Weak<Link>,
}

impl SqliteConnection {
    pub(crate) fn new(session: Weak<Shared>, link: Weak<Link>) -> Self {
        Self { session, link }
    }

    /// Runs `work` on the open file. A call that is cut off dooms the put.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db, &Shared, &CutOff) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let (Some(session), Some(link)) = (self.session.upgrade(), self.link.upgrade()) else {
            return Err(SqlError::Denied(
                "the connection is closed: its task has stopped".to_owned(),
            ));
        };
        let on_cut = {
            let (session, link) = (Arc::clone(&session), Arc::clone(&link));
            move || {
                session.doom();
                link.stop();
            }
        };
        blocking(on_cut, move |cut_off| {
            let db = link.lock();
            cut_off.check()?;
            session.check()?;
            work(&db, &session, cut_off)
        })
        .await
    }
}

impl SqlConnection for SqliteConnection {
    fn dialect(&self) -> &'static str {
        "sqlite"
    }

    fn describe(&self, name: String) -> SqlFuture<'_, Option<Table>> {
        Box::pin(self.run(move |db, _, _| table::describe(db, &name)))
    }

    fn ensure_table(&self, name: String, wanted: Table) -> SqlFuture<'_, Table> {
        Box::pin(self.run(move |db, _, _| table::ensure(db, &name, &wanted)))
    }

    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>> {
        Box::pin(self.run(move |db, session, cut_off| {
            insert::write(db, session, cut_off, &batch, selection.as_deref(), &how)
        }))
    }
}
