//! Writing rows of which it is known that a deferred constraint refuses some: it has to speak while
//! they can be told apart, and not with COMMIT.

use deadpool_postgres::Client;

use super::{
    super::error::Fault,
    apply::{self, BACK, NEXT, Refused},
    columns::Columns,
    order::{self, Run},
    plan::Plan,
};

const IMMEDIATE: &str = "SET CONSTRAINTS ALL IMMEDIATE";
/// Rows that wait for others, which wait for others: so often at most.
const MAX_ROUNDS: usize = 64;
/// What else has one of these names must not be in the way.
const DEFERRED: &str = "\
    SELECT pg_catalog.format('%I.%I', n.nspname, c.conname) FROM pg_catalog.pg_constraint c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace \
    GROUP BY n.nspname, c.conname HAVING bool_or(c.condeferred) AND bool_and(c.condeferrable)";

/// As [`apply::apply`], with all constraints checked.
pub(super) async fn apply(
    client: &Client,
    plan: &Plan,
    columns: &Columns,
) -> Result<Vec<Refused>, Fault> {
    let defer = defer(client).await?;
    let checked = Checked {
        client,
        plan,
        columns,
        defer,
    };
    let refused = match checked.write(&order::runs(plan, columns)).await {
        Ok(()) => Vec::new(),
        Err(Fault::Rows { .. }) => {
            let start = format!("{BACK}; {IMMEDIATE}; {NEXT}");
            client.batch_execute(&start).await?;
            let refused = apply::in_pieces(client, plan, columns, None).await?;
            checked.again(refused).await?
        }
        Err(fault) => return Err(fault),
    };
    // Later writes of the put are judged by what the put comes to, as these were.
    client.batch_execute(&checked.defer).await?;
    Ok(refused)
}

/// The statement that defers again what is deferred unless somebody says otherwise.
async fn defer(client: &Client) -> Result<String, Fault> {
    let rows = client.query(DEFERRED, &[]).await?;
    let names: Vec<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    Ok(match names.is_empty() {
        true => String::new(),
        false => format!("SET CONSTRAINTS {} DEFERRED", names.join(", ")),
    })
}

struct Checked<'a> {
    client: &'a Client,
    plan: &'a Plan,
    columns: &'a Columns,
    defer: String,
}

impl Checked<'_> {
    /// Writes the runs, which are judged together.
    async fn write(&self, runs: &[Run]) -> Result<(), Fault> {
        apply::at_once(self.client, self.plan, self.columns, runs).await?;
        Ok(self.client.batch_execute(IMMEDIATE).await?)
    }

    /// Rows that were refused may have waited for others that came after them. So they come again,
    /// together and one by one, as long as that is of use.
    async fn again(&self, refused: Vec<Refused>) -> Result<Vec<Refused>, Fault> {
        let places: Vec<u32> = refused.iter().map(|(row, _)| *row).collect();
        let mut waiting = order::without_followers(self.plan, self.columns, &places);
        for _ in 0..MAX_ROUNDS {
            if waiting.is_empty() || self.all(&waiting).await? {
                waiting.clear();
                break;
            }
            let before = waiting.len();
            let mut left = Vec::new();
            for row in waiting {
                if !self.attempt(&[row], false).await? {
                    left.push(row);
                }
            }
            waiting = left;
            if waiting.len() == before {
                break;
            }
        }
        let tried = order::without_followers(self.plan, self.columns, &places);
        let is_written = |row: &u32| tried.contains(row) && !waiting.contains(row);
        let mut refused = refused;
        refused.retain(|(row, _)| !is_written(row));
        Ok(refused)
    }

    async fn all(&self, rows: &[u32]) -> Result<bool, Fault> {
        self.attempt(rows, true).await
    }

    /// Whether the rows could be written; constraints are immediate before and after.
    async fn attempt(&self, rows: &[u32], together: bool) -> Result<bool, Fault> {
        self.client.batch_execute(NEXT).await?;
        if together {
            self.client.batch_execute(&self.defer).await?;
        }
        let runs = order::some_in_order(self.plan, self.columns, rows.iter().copied());
        match self.write(&runs).await {
            Ok(()) => Ok(true),
            Err(Fault::Rows { .. }) => {
                self.client.batch_execute(BACK).await?;
                Ok(false)
            }
            Err(fault) => Err(fault),
        }
    }
}
