//! CBOR that guests wrote, as values of CBOR's own types. Indefinite lengths and all sizes of
//! floats are read; of tags only those that a decimal needs have a meaning.

use num_bigint::{BigInt, Sign};

use crate::{decimal::Decimal, error::ConvertError, json::MAX_DEPTH, value::Value};

/// The one value that `bytes` hold: null, boolean, int64, float64, string, bytes, array, map or
/// Decimal.
///
/// # Errors
/// If they are not exactly one well-formed value, or if it is of another kind.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, ConvertError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at == bytes.len() {
        Ok(value)
    } else {
        reader.error("bytes behind the value")
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The start of an item: major type and argument, `None` for an indefinite length.
struct Head {
    major: u8,
    info: u8,
    argument: Option<u64>,
}

const BREAK: u8 = 0xff;
/// Items to make room for before they are read: a length is only a claim, and may be claimed
/// again at every level.
const MAX_RESERVED_ITEMS: usize = 64;

impl<'a> Reader<'a> {
    fn error<T>(&self, problem: &'static str) -> Result<T, ConvertError> {
        Err(ConvertError::Cbor {
            offset: self.at,
            problem,
        })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], ConvertError> {
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| Some((end, self.bytes.get(self.at..end)?))) {
            Some((end, taken)) => {
                self.at = end;
                Ok(taken)
            }
            None => self.error("ends too early"),
        }
    }

    fn head(&mut self) -> Result<Head, ConvertError> {
        let first = self.take(1)?.first().copied().unwrap_or_default();
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => {
                let bytes = self.take(1 << (info - 24))?;
                Some(
                    bytes
                        .iter()
                        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
                )
            }
            31 if matches!(major, 2..=5) => None,
            _ => return self.error("reserved head"),
        };
        Ok(Head {
            major,
            info,
            argument,
        })
    }

    /// Arrays and maps are read in functions of their own, to keep the frames of the recursion
    /// small.
    fn value(&mut self, depth: usize) -> Result<Value, ConvertError> {
        if depth > MAX_DEPTH {
            return Err(ConvertError::Depth);
        }
        let head = self.head()?;
        match head.major {
            4 => self.array(&head, depth + 1),
            5 => self.map(&head, depth + 1),
            _ => self.scalar(&head),
        }
    }

    fn array(&mut self, head: &Head, depth: usize) -> Result<Value, ConvertError> {
        let mut items = Vec::with_capacity(reserve(head));
        while self.more(head, items.len())? {
            items.push(self.value(depth)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, head: &Head, depth: usize) -> Result<Value, ConvertError> {
        let mut entries = Vec::with_capacity(reserve(head));
        while self.more(head, entries.len())? {
            let key = self.value(depth)?;
            entries.push((key, self.value(depth)?));
        }
        Ok(Value::Map(entries))
    }

    fn scalar(&mut self, head: &Head) -> Result<Value, ConvertError> {
        let argument = head.argument.unwrap_or_default();
        match head.major {
            0 => match i64::try_from(argument) {
                Ok(number) => Ok(Value::Int64(number)),
                Err(_) => Err(ConvertError::range("int64", &argument.to_string())),
            },
            1 => match i64::try_from(argument) {
                Ok(number) => Ok(Value::Int64(!number)),
                Err(_) => Err(ConvertError::range("int64", &format!("-1-{argument}"))),
            },
            2 => Ok(Value::Bytes(self.string(head)?)),
            3 => match String::from_utf8(self.string(head)?) {
                Ok(text) => Ok(Value::String(text)),
                Err(_) => self.error("text is not UTF-8"),
            },
            6 if argument == 4 => self.decimal(),
            6 => self.error("unknown tag"),
            _ => self.simple(head),
        }
    }

    /// Whether an array or map that has `read` items has another.
    fn more(&mut self, head: &Head, read: usize) -> Result<bool, ConvertError> {
        match head.argument {
            Some(length) => Ok((read as u64) < length),
            None => Ok(!self.eat_break()),
        }
    }

    fn eat_break(&mut self) -> bool {
        let found = self.bytes.get(self.at) == Some(&BREAK);
        self.at += usize::from(found);
        found
    }

    fn string(&mut self, head: &Head) -> Result<Vec<u8>, ConvertError> {
        if let Some(length) = head.argument {
            return self.take(length).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        while !self.eat_break() {
            let chunk = self.head()?;
            match chunk.argument {
                Some(length) if chunk.major == head.major => {
                    whole.extend_from_slice(self.take(length)?);
                }
                _ => return self.error("chunk of another type"),
            }
        }
        Ok(whole)
    }

    fn simple(&mut self, head: &Head) -> Result<Value, ConvertError> {
        let bits = head.argument.unwrap_or_default();
        match head.info {
            20 => Ok(Value::Boolean(false)),
            21 => Ok(Value::Boolean(true)),
            22 | 23 => Ok(Value::Null),
            25 => Ok(Value::Float64(half(bits))),
            26 => Ok(Value::Float64(f64::from(f32::from_bits(bits as u32)))),
            27 => Ok(Value::Float64(f64::from_bits(bits))),
            _ => self.error("unknown simple value"),
        }
    }

    /// RFC 8949, 3.4.4: an array of exponent and mantissa.
    fn decimal(&mut self) -> Result<Value, ConvertError> {
        let pair = self.head()?;
        if pair.major != 4 || pair.argument != Some(2) {
            return self.error("decimal fraction is no array of two");
        }
        let exponent = self.integer()?;
        let mantissa = self.integer()?;
        match i32::try_from(-exponent) {
            Ok(scale) => Ok(Value::Decimal(Decimal::new(mantissa, scale))),
            Err(_) => self.error("exponent of a decimal fraction is out of range"),
        }
    }

    fn integer(&mut self) -> Result<BigInt, ConvertError> {
        let head = self.head()?;
        match (head.major, head.argument) {
            (0, Some(number)) => Ok(BigInt::from(number)),
            (1, Some(number)) => Ok(-BigInt::from(number) - 1),
            (6, Some(tag @ (2 | 3))) => {
                let bytes = self.head()?;
                if bytes.major != 2 {
                    return self.error("big number is no byte string");
                }
                let number = BigInt::from_bytes_be(Sign::Plus, &self.string(&bytes)?);
                Ok(if tag == 3 { -number - 1 } else { number })
            }
            _ => self.error("expected a whole number"),
        }
    }
}

fn reserve(head: &Head) -> usize {
    let claimed = usize::try_from(head.argument.unwrap_or_default());
    claimed.unwrap_or(usize::MAX).min(MAX_RESERVED_ITEMS)
}

/// RFC 8949, appendix D.
fn half(bits: u64) -> f64 {
    let exponent = (bits >> 10 & 31) as i32;
    let fraction = (bits & 1023) as f64;
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indefinite_lengths_and_halves_are_read() {
        assert_eq!(
            read(b"\x9f\x01\x7f\x61a\x61b\xff\xf9\x3e\x00\xff").unwrap(),
            Value::Array(vec![
                Value::Int64(1),
                Value::String("ab".into()),
                Value::Float64(1.5)
            ])
        );
        assert_eq!(read(b"\xc4\x82\x21\x19\x30\x39").unwrap(), {
            Value::Decimal(Decimal::parse("123.45").unwrap())
        });
    }

    #[test]
    fn bad_input_is_refused_without_harm() {
        for bad in [
            &b""[..],
            b"\x1c",
            b"\x61",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01\x01",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xff",
            b"\x61\xff",
            b"\xc1\x01",
            b"\xe0",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xc4\x01",
            b"\x5f\x61a\xff",
            b"\x9f",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
