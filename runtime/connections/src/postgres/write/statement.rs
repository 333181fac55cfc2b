//! The SQL of a write. Values are parameters; names are quoted when they get here.

use super::{
    super::types::Equality,
    order::{Operation, Order},
    plan::{Column, Plan, Transport},
};

/// The statement that does `operation` with rows given as arrays, one a parameter. Its parameters
/// are the columns that [`parameters`] answers, in that order.
pub(super) fn of(plan: &Plan, operation: Operation, order: Order) -> String {
    let source = source(plan, operation, order);
    match operation {
        Operation::Insert => insert(plan, &source),
        Operation::Upsert => upsert(plan, &source),
        Operation::Update => update(plan, &source),
        Operation::Delete => delete(plan, &source),
    }
}

/// COPY of all columns.
pub(super) fn copy(plan: &Plan) -> String {
    format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        plan.table,
        list(&plan.columns, |_, column| column.name.clone())
    )
}

/// One row that COPY would take, each column a parameter.
pub(super) fn values(plan: &Plan) -> String {
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        plan.table,
        list(&plan.columns, |_, column| column.name.clone()),
        list(&plan.columns, |place, column| format!(
            "${}::{}",
            place + 1,
            column.declared.sql
        )),
    )
}

/// Places of the columns that are parameters of `operation`.
pub(super) fn parameters(plan: &Plan, operation: Operation) -> Vec<usize> {
    let takes = |column: &Column| operation != Operation::Delete || column.is_identity;
    let columns = plan.columns.iter().enumerate();
    columns
        .filter(|(_, column)| takes(column))
        .map(|(place, _)| place)
        .collect()
}

fn upsert(plan: &Plan, source: &str) -> String {
    let identity = plan.identity().map(|(_, column)| column.name.clone());
    let others: Vec<_> = plan.columns.iter().filter(|c| !c.is_identity).collect();
    let then = match others.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!(
            "UPDATE SET {}",
            list(others, |_, column| format!(
                "{0} = excluded.{0}",
                column.name
            ))
        ),
    };
    format!(
        "{} ON CONFLICT ({}) DO {then}",
        insert(plan, source),
        identity.collect::<Vec<_>>().join(", "),
    )
}

/// Identities that the table generates take the record's value, as they do from COPY.
fn insert(plan: &Plan, source: &str) -> String {
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {source}",
        plan.table,
        list(&plan.columns, |_, column| column.name.clone()),
        list(&plan.columns, value),
    )
}

fn update(plan: &Plan, source: &str) -> String {
    let columns = plan.columns.iter().enumerate();
    let set: Vec<_> = columns
        .filter(|(_, column)| !column.is_identity)
        .map(|(place, column)| format!("{} = {}", column.name, value(place, column)))
        .collect();
    format!(
        "UPDATE {} AS t SET {} FROM {source} WHERE {}",
        plan.table,
        set.join(", "),
        same_row(plan)
    )
}

fn delete(plan: &Plan, source: &str) -> String {
    format!(
        "DELETE FROM {} AS t USING {source} WHERE {}",
        plan.table,
        same_row(plan)
    )
}

fn same_row(plan: &Plan) -> String {
    let same = plan
        .identity()
        .map(|(place, column)| format!("t.{} = {}", column.name, value(place, column)));
    same.collect::<Vec<_>>().join(" AND ")
}

/// Whether the statement itself takes the last of the rows that are one to the server. Then they
/// have to be given in their own order.
pub(super) fn server_picks_last(plan: &Plan, operation: Operation) -> bool {
    match operation {
        // Two rows for one row of the table: the server would refuse the statement.
        Operation::Upsert => plan.equality() == Equality::Loose,
        // Here it would take either.
        Operation::Update => plan.equality() > Equality::Exact,
        Operation::Insert | Operation::Delete => false,
    }
}

/// The rows as a table `v` with columns `c0`, `c1` and so on, numbered as in the plan.
fn source(plan: &Plan, operation: Operation, order: Order) -> String {
    let places = parameters(plan, operation);
    let arrays = places.iter().enumerate().filter_map(|(index, place)| {
        let column = plan.columns.get(*place)?;
        let element = match column.transport {
            Transport::Native => &column.declared.sql,
            Transport::Text => "pg_catalog.text",
        };
        Some(format!("${}::{element}[]", index + 1))
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let names: Vec<_> = places.iter().map(|place| format!("c{place}")).collect();
    let names = names.join(", ");
    if !server_picks_last(plan, operation) {
        return format!("unnest({arrays}) AS v({names})");
    }
    // Compared with a value of the column, though there is none, they get its collation.
    let identity = plan.identity().map(|(place, column)| {
        let like = format!(
            "SELECT t.{} FROM {} AS t WHERE false",
            column.name, plan.table
        );
        format!("coalesce({}, ({like}))", value(place, column))
    });
    let identity = identity.collect::<Vec<_>>().join(", ");
    let last = format!(
        "(SELECT DISTINCT ON ({identity}) v.* FROM unnest({arrays}) WITH ORDINALITY \
         AS v({names}, number) ORDER BY {identity}, v.number DESC) AS v"
    );
    match order {
        Order::Free => last,
        Order::Records => format!("(SELECT v.* FROM {last} ORDER BY v.number) AS v"),
    }
}

fn value(place: usize, column: &Column) -> String {
    match column.transport {
        Transport::Native => format!("v.c{place}"),
        Transport::Text => format!("v.c{place}::{}", column.declared.sql),
    }
}

fn list<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    part: impl Fn(usize, &Column) -> String,
) -> String {
    let parts = columns.into_iter().enumerate();
    let parts: Vec<_> = parts.map(|(place, column)| part(place, column)).collect();
    parts.join(", ")
}
