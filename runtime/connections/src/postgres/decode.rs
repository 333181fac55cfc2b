//! Rows of a query as a batch: structs with a Connect schema.

use std::sync::Arc;

use tidegate_convert::{
    Decimal, DecodedColumn, Field, Schema, SchemaAndValue, Struct, Type, Value, schema,
};
use tidegate_sandbox::{SinkBatch, SqlError};
use tokio_postgres::{
    Column, Row,
    types::{FromSql, Type as PgType},
};

use super::{
    binary_text,
    iso::DAY_MICROS,
    types::{ColumnType, Kind},
};

/// What the columns of a query become.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
}

impl Shape {
    /// # Errors
    /// If there is a type without an equal in Connect.
    pub(super) fn of(columns: &[Column]) -> Result<Self, SqlError> {
        let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
        let mut kinds = Vec::with_capacity(columns.len());
        for column in columns {
            let (name, declared) = (column.name(), ColumnType::of(column.type_()));
            if fields.iter().any(|field| field.name == name) {
                return Err(SqlError::Denied(format!(
                    "two columns of the statement are named {name:?}; name one with AS"
                )));
            }
            let schema = schema_of(&declared.kind, column.type_modifier()).ok_or_else(|| {
                SqlError::Denied(format!(
                    "column {name:?} of the statement has type {}, which Connect has no type for; \
                     write {name}::text",
                    declared.name
                ))
            })?;
            fields.push(Field {
                name: name.to_owned(),
                schema: Arc::new(schema.optional()),
            });
            kinds.push(declared.kind);
        }
        Ok(Self {
            schema: Arc::new(Schema::structure(fields)),
            kinds,
        })
    }
}

fn schema_of(kind: &Kind, modifier: i32) -> Option<Schema> {
    Some(match kind {
        Kind::Bool => Schema::new(Type::Boolean),
        Kind::Int2 => Schema::new(Type::Int16),
        Kind::Int4 => Schema::new(Type::Int32),
        Kind::Int8 => Schema::new(Type::Int64),
        Kind::Float4 => Schema::new(Type::Float32),
        Kind::Float8 => Schema::new(Type::Float64),
        Kind::Numeric => match scale(modifier) {
            Some(scale) => Schema::decimal(scale),
            // Each value has a scale of its own, which Connect's Decimal cannot have.
            None => Schema::new(Type::String),
        },
        Kind::Text | Kind::Uuid | Kind::Json | Kind::Jsonb => Schema::new(Type::String),
        Kind::Bytea => Schema::new(Type::Bytes),
        Kind::Date => Schema::new(Type::Int32).named(schema::DATE, 1),
        Kind::Time => Schema::new(Type::Int32).named(schema::TIME, 1),
        Kind::Timestamp | Kind::Timestamptz => Schema::new(Type::Int64).named(schema::TIMESTAMP, 1),
        Kind::Array(element, _) => {
            // A scale is the column's; its items have none of their own here.
            Schema::array(Some(Arc::new(schema_of(element, -1)?.optional())))
        }
        Kind::Other => return None,
    })
}

/// The scale of `numeric(10, 2)`; 11 bits with a sign.
fn scale(modifier: i32) -> Option<i32> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    Some(((packed & 0x7ff) ^ 1024) - 1024)
}

/// The rows as a batch; they come from no topic.
pub(super) fn batch(shape: &Shape, rows: &[Row]) -> Result<SinkBatch, SqlError> {
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let mut fields = Vec::with_capacity(shape.kinds.len());
        for (place, kind) in shape.kinds.iter().enumerate() {
            let field = shape.schema.fields.get(place);
            let found = match row.try_get::<_, Option<Raw<'_>>>(place) {
                Ok(None) => Some(Value::Null),
                Ok(Some(raw)) => field.and_then(|field| value(kind, &field.schema, raw.0)),
                Err(_) => None,
            };
            let name = field.map_or("", |field| &field.name);
            fields.push(found.ok_or_else(|| SqlError::Rejected {
                code: "22003".to_owned(),
                message: format!(
                    "column {name:?} has a value that Connect cannot hold, such as infinity or an \
                     array of arrays; write {name}::text in the statement"
                ),
            })?);
        }
        values.push(SchemaAndValue {
            schema: Some(Arc::clone(&shape.schema)),
            value: Value::Struct(Struct::new(Arc::clone(&shape.schema), fields)),
        });
    }
    let nulls = rows.iter().map(|_| SchemaAndValue {
        schema: None,
        value: Value::Null,
    });
    Ok(SinkBatch {
        topic: String::new(),
        partitions: vec![0; rows.len()],
        offsets: (0..).take(rows.len()).collect(),
        timestamps: vec![-1; rows.len()],
        keys: DecodedColumn::from_rows(nulls).0,
        values: DecodedColumn::from_rows(values).0,
        headers: None,
    })
}

/// The value of a field that is not null; Connect's times have milliseconds, and what is below
/// them is left out.
fn value(kind: &Kind, schema: &Schema, bytes: &[u8]) -> Option<Value> {
    let text = || binary_text::of(kind, bytes).map(Value::String);
    Some(match kind {
        Kind::Bool => Value::Boolean(bytes == [1]),
        Kind::Int2 => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Int4 => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Int8 => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Float4 => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Float8 => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Numeric => match schema.scale() {
            Ok(scale) => {
                let decimal = Decimal::parse(&binary_text::numeric(bytes)?)?;
                Value::Decimal(decimal.rescaled(scale)?)
            }
            Err(_) => text()?,
        },
        Kind::Text | Kind::Uuid | Kind::Json | Kind::Jsonb => text()?,
        Kind::Bytea => Value::Bytes(bytes.to_vec()),
        Kind::Date => Value::Date(binary_text::day(bytes)?.checked_mul(DAY_MICROS / 1_000)?),
        Kind::Time => Value::Date(i64::from_be_bytes(bytes.try_into().ok()?) / 1_000),
        Kind::Timestamp | Kind::Timestamptz => {
            Value::Date(binary_text::instant(bytes)?.div_euclid(1_000))
        }
        Kind::Array(element, _) => array(element, schema.value_schema.as_deref()?, bytes)?,
        Kind::Other => return None,
    })
}

fn array(element: &Kind, schema: &Schema, bytes: &[u8]) -> Option<Value> {
    let int = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    };
    let items = match int(0)? {
        0 => 0,
        1 => int(12)?,
        _ => return None,
    };
    let mut at = 20;
    let mut values = Vec::new();
    for _ in 0..items {
        let length = int(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            values.push(Value::Null);
            continue;
        };
        values.push(value(element, schema, bytes.get(at..at + length)?)?);
        at += length;
    }
    Some(Value::Array(values))
}

/// The bytes of a field, of whatever type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &PgType,
        bytes: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &PgType) -> bool {
        true
    }
}
