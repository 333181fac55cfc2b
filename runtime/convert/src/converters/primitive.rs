//! `BooleanConverter` and the number converters of `org.apache.kafka.connect.converters`: Kafka's
//! own serializers, big-endian.

use std::sync::Arc;

use crate::{
    converter::Converter,
    error::ConvertError,
    schema::{Schema, Type},
    value::{SchemaAndValue, Value},
};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Primitive {
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PrimitiveConverter {
    primitive: Primitive,
    schema: Arc<Schema>,
}

impl PrimitiveConverter {
    pub(crate) fn new(primitive: Primitive) -> Self {
        let kind = match primitive {
            Primitive::Boolean => Type::Boolean,
            Primitive::Short => Type::Int16,
            Primitive::Integer => Type::Int32,
            Primitive::Long => Type::Int64,
            Primitive::Float => Type::Float32,
            Primitive::Double => Type::Float64,
        };
        Self {
            primitive,
            schema: Arc::new(Schema::new(kind).optional()),
        }
    }

    fn class(&self) -> &'static str {
        match self.primitive {
            Primitive::Boolean => "BooleanConverter",
            Primitive::Short => "ShortConverter",
            Primitive::Integer => "IntegerConverter",
            Primitive::Long => "LongConverter",
            Primitive::Float => "FloatConverter",
            Primitive::Double => "DoubleConverter",
        }
    }

    fn fixed<const N: usize>(&self, bytes: &[u8]) -> Result<[u8; N], ConvertError> {
        let kind = self.schema.kind.name();
        bytes.try_into().map_err(|_| ConvertError::Length {
            kind,
            expected: N,
            found: bytes.len(),
        })
    }
}

impl Converter for PrimitiveConverter {
    fn to_connect(&self, bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError> {
        let value = match (bytes, self.primitive) {
            (None, _) => Value::Null,
            (Some(bytes), Primitive::Boolean) => match self.fixed(bytes)? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                [other] => return Err(ConvertError::range("boolean", &other.to_string())),
            },
            (Some(bytes), Primitive::Short) => Value::Int16(i16::from_be_bytes(self.fixed(bytes)?)),
            (Some(bytes), Primitive::Integer) => {
                Value::Int32(i32::from_be_bytes(self.fixed(bytes)?))
            }
            (Some(bytes), Primitive::Long) => Value::Int64(i64::from_be_bytes(self.fixed(bytes)?)),
            (Some(bytes), Primitive::Float) => {
                Value::Float32(f32::from_be_bytes(self.fixed(bytes)?))
            }
            (Some(bytes), Primitive::Double) => {
                Value::Float64(f64::from_be_bytes(self.fixed(bytes)?))
            }
        };
        Ok(SchemaAndValue {
            schema: Some(Arc::clone(&self.schema)),
            value,
        })
    }

    fn from_connect(
        &self,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        // The number converters never look at the schema.
        if let (Primitive::Boolean, Some(schema)) = (self.primitive, schema)
            && schema.kind != Type::Boolean
        {
            let found = schema.kind.name();
            return Err(ConvertError::Refused {
                class: self.class(),
                found,
            });
        }
        Ok(Some(match (self.primitive, value) {
            (_, Value::Null) => return Ok(None),
            (Primitive::Boolean, Value::Boolean(truth)) => vec![u8::from(*truth)],
            (Primitive::Short, Value::Int16(number)) => number.to_be_bytes().to_vec(),
            (Primitive::Integer, Value::Int32(number)) => number.to_be_bytes().to_vec(),
            (Primitive::Long, Value::Int64(number)) => number.to_be_bytes().to_vec(),
            // Java has one NaN on the wire.
            (Primitive::Float, Value::Float32(number)) => {
                let number = if number.is_nan() { f32::NAN } else { *number };
                number.to_be_bytes().to_vec()
            }
            (Primitive::Double, Value::Float64(number)) => {
                let number = if number.is_nan() { f64::NAN } else { *number };
                number.to_be_bytes().to_vec()
            }
            (_, other) => {
                let found = other.type_name();
                return Err(ConvertError::Refused {
                    class: self.class(),
                    found,
                });
            }
        }))
    }
}
