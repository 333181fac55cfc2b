//! Which columns have a value of their own in rows that do not name them.

use std::collections::HashSet;

use deadpool_postgres::Client;

use super::{super::error::Fault, plan::Plan};

/// Of views and foreign tables nothing is known, since what is behind them decides.
const DEFAULTS: &str = "\
    SELECT a.attname::text FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = pg_catalog.to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped \
      AND (a.atthasdef OR a.attidentity <> '' OR t.typtype = 'd' OR c.relkind NOT IN ('r', 'p'))";

/// Their places among the encoded columns.
pub(super) async fn columns(client: &Client, plan: &Plan) -> Result<HashSet<usize>, Fault> {
    let statement = client.prepare_cached(DEFAULTS).await?;
    let rows = client.query(&statement, &[&plan.table]).await?;
    let mut names = HashSet::with_capacity(rows.len());
    for row in &rows {
        let name: String = row.try_get(0)?;
        names.insert(super::super::identifier::quote(&name));
    }
    let columns = plan.columns.iter();
    let known = columns.filter(|column| names.contains(&column.name));
    Ok(known.map(|column| column.field).collect())
}
