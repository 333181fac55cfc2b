//! What SQL may do. All of it is built by the host, but triggers and views of the file run too,
//! and the file may come from anywhere.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

/// PRAGMAs that describing a table and adding a column take.
const PRAGMAS: [&str; 2] = ["table_xinfo", "quick_check"];

/// Where the host keeps consumed offsets. Guests must not write it, nor make a trigger of the file
/// do so: a position that moves without its rows loses records.
pub(super) const LEDGER_TABLE: &str = "tidegate_offsets";

/// Whether the statement at hand is one of the host's own about transactions, tables or offsets.
#[derive(Debug, Clone, Default)]
pub(super) struct HostStatement(Arc<AtomicBool>);

impl HostStatement {
    /// Runs `sql` with the host's rights.
    pub(super) fn execute(&self, connection: &Connection, sql: &str) -> rusqlite::Result<()> {
        self.with(|| connection.execute_batch(sql))
    }

    /// Runs `work`, whose statements have the host's rights.
    pub(super) fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::SeqCst);
        let done = work();
        self.0.store(false, Ordering::SeqCst);
        done
    }

    /// From now on `connection` does only what [`HostStatement`] and this list allow.
    pub(super) fn install(&self, connection: &Connection) {
        let host = Arc::clone(&self.0);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if allowed(&context.action, host.load(Ordering::SeqCst)) {
                Authorization::Allow
            } else {
                Authorization::Deny
            }
        }));
    }
}

/// From now on `connection` only reads.
pub(super) fn read_only(connection: &Connection) {
    connection.authorizer(Some(|context: AuthContext<'_>| {
        let writes = matches!(
            context.action,
            AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. }
        );
        if !writes && allowed(&context.action, false) {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }));
}

fn allowed(action: &AuthAction<'_>, host: bool) -> bool {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => {
            host || !table_name.eq_ignore_ascii_case(LEDGER_TABLE)
        }
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        AuthAction::Pragma { pragma_name, .. } => PRAGMAS
            .iter()
            .any(|pragma| pragma.eq_ignore_ascii_case(pragma_name)),
        AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::AlterTable { .. } => host,
        _ => false,
    }
}
