//! PostgreSQL's types as far as values are encoded for them here.

use tokio_postgres::types::{Kind as PgKind, Oid, Type};

use super::identifier;

/// What a value has to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// text, varchar, char, name, citext, and the labels of enums.
    Text,
    Bytea,
    Uuid,
    Json,
    Jsonb,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    /// Of one of the above.
    Array(Box<Kind>, Oid),
    /// Any other; its values travel as text, which the server parses.
    Other,
}

/// When two values are one to the server though their encodings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Equality {
    /// Never.
    Exact,
    /// Where the collation says so, which is rare.
    Collated,
    /// Such as 1.0 and 1.00.
    Loose,
}

/// A column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnType {
    pub(super) kind: Kind,
    /// For messages: `numeric`, `public.mood`.
    pub(super) name: String,
    /// In SQL: the type without lengths, or what a domain is made of. Lengths are checked when a
    /// value is assigned; a cast to them would cut it off silently.
    pub(super) sql: String,
    /// Of the same.
    pub(super) oid: Oid,
    pub(super) equality: Equality,
}

impl ColumnType {
    pub(super) fn of(declared: &Type) -> Self {
        let mut base = declared;
        while let PgKind::Domain(inner) = base.kind() {
            base = inner;
        }
        let schema = identifier::quote(base.schema());
        let kind = kind(base);
        Self {
            name: match declared.schema() {
                "pg_catalog" => declared.name().to_owned(),
                schema => format!("{schema}.{}", declared.name()),
            },
            sql: format!("{schema}.{}", identifier::quote(base.name())),
            oid: base.oid(),
            equality: equality(base, &kind),
            kind,
        }
    }
}

fn kind(base: &Type) -> Kind {
    match base.kind() {
        PgKind::Enum(_) => return Kind::Text,
        PgKind::Array(element) => {
            // Not so int2vector and its kind, which have no lower bound of 1.
            if !base.name().starts_with('_') {
                return Kind::Other;
            }
            let mut of = element;
            while let PgKind::Domain(inner) = of.kind() {
                of = inner;
            }
            return match kind(of) {
                Kind::Other | Kind::Array(..) => Kind::Other,
                inner => Kind::Array(Box::new(inner), element.oid()),
            };
        }
        PgKind::Simple => {}
        _ => return Kind::Other,
    }
    match *base {
        Type::BOOL => Kind::Bool,
        Type::INT2 => Kind::Int2,
        Type::INT4 => Kind::Int4,
        Type::INT8 => Kind::Int8,
        Type::FLOAT4 => Kind::Float4,
        Type::FLOAT8 => Kind::Float8,
        Type::NUMERIC => Kind::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Kind::Text,
        Type::BYTEA => Kind::Bytea,
        Type::UUID => Kind::Uuid,
        Type::JSON => Kind::Json,
        Type::JSONB => Kind::Jsonb,
        Type::DATE => Kind::Date,
        Type::TIME => Kind::Time,
        Type::TIMESTAMP => Kind::Timestamp,
        Type::TIMESTAMPTZ => Kind::Timestamptz,
        _ if base.name() == "citext" => Kind::Text,
        _ => Kind::Other,
    }
}

fn equality(base: &Type, kind: &Kind) -> Equality {
    match (kind, base.kind()) {
        (Kind::Text, PgKind::Enum(_)) => Equality::Exact,
        (Kind::Text, _) if *base == Type::BPCHAR || base.name() == "citext" => Equality::Loose,
        (Kind::Text, _) => Equality::Collated,
        (
            Kind::Numeric
            | Kind::Float4
            | Kind::Float8
            | Kind::Jsonb
            | Kind::Array(..)
            | Kind::Other,
            _,
        ) => Equality::Loose,
        _ => Equality::Exact,
    }
}
