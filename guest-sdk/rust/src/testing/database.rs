//! A database that lives in a test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::sql::{SqlError, Table};

/// A stored row: column name and value.
pub type TableRow = BTreeMap<String, Value>;

thread_local! {
    static DATABASES: RefCell<BTreeMap<String, Database>> = const { RefCell::new(BTreeMap::new()) };
}

/// Stands in for a database that the host holds. It knows tables, primary keys and all modes of
/// writing; what queries answer, the test says.
#[derive(Clone, Debug)]
pub struct Database(Rc<RefCell<State>>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) dialect: String,
    pub(super) tables: BTreeMap<String, Stored>,
    pub(super) answers: BTreeMap<String, Vec<Value>>,
    pub(super) writes: usize,
    pub(super) failure: Option<SqlError>,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) table: Table,
    pub(super) rows: Vec<TableRow>,
}

impl Database {
    /// What `Connection::open(name)` opens on this thread from now on.
    pub fn install(name: &str, dialect: &str) -> Self {
        let state = State {
            dialect: dialect.to_owned(),
            tables: BTreeMap::new(),
            answers: BTreeMap::new(),
            writes: 0,
            failure: None,
        };
        let database = Self(Rc::new(RefCell::new(state)));
        DATABASES.with_borrow_mut(|all| all.insert(name.to_owned(), database.clone()));
        database
    }

    /// Creates a table, or replaces it.
    pub fn create(&self, name: &str, table: Table) {
        let stored = Stored {
            table,
            rows: Vec::new(),
        };
        self.0.borrow_mut().tables.insert(name.to_owned(), stored);
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<Table> {
        self.0
            .borrow()
            .tables
            .get(name)
            .map(|stored| stored.table.clone())
    }

    /// What was written to a table, in order.
    pub fn rows(&self, name: &str) -> Vec<TableRow> {
        self.0
            .borrow()
            .tables
            .get(name)
            .map(|stored| stored.rows.clone())
            .unwrap_or_default()
    }

    /// How often something was written.
    pub fn writes(&self) -> usize {
        self.0.borrow().writes
    }

    /// What this statement answers from now on: objects with a field a column.
    pub fn answer(&self, statement: &str, rows: impl IntoIterator<Item = Value>) {
        let rows = rows.into_iter().collect();
        self.with(|state| state.answers.insert(statement.to_owned(), rows));
    }

    /// The next call fails with this.
    pub fn fail_next(&self, error: SqlError) {
        self.0.borrow_mut().failure = Some(error);
    }

    pub(super) fn find(name: &str) -> Option<Self> {
        DATABASES.with_borrow(|all| all.get(name).cloned())
    }

    pub(super) fn with<R>(&self, call: impl FnOnce(&mut State) -> R) -> R {
        call(&mut self.0.borrow_mut())
    }
}
