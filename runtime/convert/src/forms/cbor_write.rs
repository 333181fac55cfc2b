//! Values as the CBOR that guests see: RFC 8949, definite lengths, shortest heads.

use num_bigint::{BigInt, Sign};

use crate::{
    error::ConvertError,
    forms::json_write::{date, plain},
    schema::Schema,
    value::Value,
};

/// Appends `value`; the schema is needed as in [`crate::forms::json_write::write`].
///
/// # Errors
/// If a decimal has a scale that has no text either.
pub(crate) fn write(
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Result<(), ConvertError> {
    match value {
        Value::Null => out.push(0xf6),
        Value::Boolean(truth) => out.push(0xf4 + u8::from(*truth)),
        Value::Int8(number) => int(out, i64::from(*number)),
        Value::Int16(number) => int(out, i64::from(*number)),
        Value::Int32(number) => int(out, i64::from(*number)),
        Value::Int64(number) => int(out, *number),
        Value::Float32(number) => {
            out.push(0xfa);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Float64(number) => {
            out.push(0xfb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::String(string) => text(out, string),
        Value::Bytes(bytes) => byte_string(out, bytes),
        Value::Decimal(decimal) => {
            // Refused where JSON would refuse it, so that both encodings take the same values.
            plain(decimal)?;
            out.extend_from_slice(&[0xc4, 0x82]);
            int(out, -i64::from(decimal.scale()));
            big_int(out, decimal.unscaled());
        }
        Value::Date(millis) => text(out, &date(schema, *millis)),
        Value::Array(items) => {
            head(out, 4, items.len() as u64);
            let schema = schema.and_then(|schema| schema.value_schema.as_deref());
            for item in items {
                write(out, schema, item)?;
            }
        }
        Value::Map(entries) => {
            head(out, 5, entries.len() as u64);
            for (key, item) in entries {
                write(
                    out,
                    schema.and_then(|schema| schema.key_schema.as_deref()),
                    key,
                )?;
                write(
                    out,
                    schema.and_then(|schema| schema.value_schema.as_deref()),
                    item,
                )?;
            }
        }
        Value::Struct(fields) => {
            head(out, 5, fields.values().len() as u64);
            for (field, item) in fields.schema().fields.iter().zip(fields.values()) {
                text(out, &field.name);
                write(out, Some(&field.schema), item)
                    .map_err(|error| error.in_field(&field.name))?;
            }
        }
    }
    Ok(())
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    if let (Ok(small), true) = (u8::try_from(argument), argument < 24) {
        out.push(major | small);
    } else if let Ok(byte) = u8::try_from(argument) {
        out.extend_from_slice(&[major | 24, byte]);
    } else if let Ok(short) = u16::try_from(argument) {
        out.push(major | 25);
        out.extend_from_slice(&short.to_be_bytes());
    } else if let Ok(word) = u32::try_from(argument) {
        out.push(major | 26);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&argument.to_be_bytes());
    }
}

fn int(out: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(positive) => head(out, 0, positive),
        // -1 - n is the complement of n.
        Err(_) => head(out, 1, (!number).cast_unsigned()),
    }
}

fn big_int(out: &mut Vec<u8>, number: &BigInt) {
    if let Ok(small) = i64::try_from(number) {
        return int(out, small);
    }
    let negative = number.sign() == Sign::Minus;
    let magnitude = if negative {
        -number - 1u8
    } else {
        number.clone()
    };
    out.push(if negative { 0xc3 } else { 0xc2 });
    byte_string(out, &magnitude.to_bytes_be().1);
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
