//! What a header text looks like (`Values.parseString`).

use std::sync::Arc;

use crate::{
    calendar,
    decimal::Decimal,
    header::{merge::Merged, tokens::Tokens},
    json::MAX_DEPTH,
    schema::{DATE, Schema, TIME, TIMESTAMP, Type},
    value::Value,
};

/// A value and its schema; null has none.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    pub(super) schema: Option<Arc<Schema>>,
    pub(super) value: Value,
}

impl Parsed {
    const NULL: Self = Self {
        schema: None,
        value: Value::Null,
    };

    fn new(schema: Schema, value: Value) -> Self {
        Self {
            schema: Some(Arc::new(schema)),
            value,
        }
    }
}

/// The value of a whole text; `None` if it is just a string. What follows a complete value is
/// ignored, as in Connect: `1,2` is 1.
pub(super) fn parse(text: &str) -> Option<Parsed> {
    element(&mut Tokens::new(text), 0)
}

/// One value, `depth` brackets deep. `None` stands for Connect's `DataException`: within brackets
/// it makes the whole text a string.
fn element(tokens: &mut Tokens, depth: usize) -> Option<Parsed> {
    if depth > MAX_DEPTH {
        return None;
    }
    if !tokens.has_next() {
        return (depth > 0).then_some(Parsed::NULL);
    }
    if depth > 0 && tokens.eat("\"") {
        return Some(quoted(tokens));
    }
    if tokens.eat("null") {
        return Some(Parsed::NULL);
    }
    for truth in [true, false] {
        if tokens.eat(if truth { "true" } else { "false" }) {
            return Some(Parsed::new(
                Schema::new(Type::Boolean),
                Value::Boolean(truth),
            ));
        }
    }
    if tokens.eat("[") {
        return array(tokens, depth + 1);
    }
    if tokens.eat("{") {
        return map(tokens, depth + 1);
    }
    let token = tokens.take()?.trim().to_owned();
    let first = token.chars().next()?;
    if first.is_ascii_digit() {
        // Colons are delimiters, so times come in five tokens.
        let mark = tokens.mark();
        let whole = tokens
            .take_many(4)
            .and_then(|rest| temporal(format!("{token}{rest}").trim()));
        if whole.is_some() {
            return whole;
        }
        tokens.rewind(mark);
        if let Some(date) = temporal(&token) {
            return Some(date);
        }
    }
    let numeric = first.is_ascii_digit() || first == '+' || first == '-';
    if numeric {
        Decimal::parse(&token).and_then(number)
    } else {
        None
    }
}

/// Behind the opening quote: everything up to the closing one, or to the end.
fn quoted(tokens: &mut Tokens) -> Parsed {
    let mut content = String::new();
    while !tokens.eat_exactly("\"") {
        match tokens.take() {
            Some(token) => content.push_str(token),
            None => break,
        }
    }
    temporal(&content)
        .unwrap_or_else(|| Parsed::new(Schema::new(Type::String), Value::String(content)))
}

fn array(tokens: &mut Tokens, depth: usize) -> Option<Parsed> {
    let mut items = Merged::default();
    let mut values = Vec::new();
    while tokens.has_next() {
        if tokens.eat("]") {
            let values = values.into_iter().map(|value| items.align(value));
            let values = values.collect::<Option<Vec<_>>>()?;
            return Some(Parsed::new(
                Schema::array(items.schema()),
                Value::Array(values),
            ));
        }
        if tokens.eat(",") {
            return None;
        }
        let item = element(tokens, depth)?;
        items.add(item.schema.as_ref());
        values.push(item.value);
        let mark = tokens.mark();
        if tokens.eat("]") {
            tokens.rewind(mark);
        } else if !tokens.eat(",") {
            return None;
        }
    }
    None
}

fn map(tokens: &mut Tokens, depth: usize) -> Option<Parsed> {
    let (mut keys, mut items) = (Merged::default(), Merged::default());
    let mut entries: Vec<(Value, Value)> = Vec::new();
    while tokens.has_next() {
        if tokens.eat("}") {
            let aligned = entries
                .into_iter()
                .map(|(key, value)| Some((keys.align(key)?, items.align(value)?)))
                .collect::<Option<Vec<_>>>()?;
            let (keys, items) = match keys.schema() {
                Some(keys) => (Some(keys), items.schema()),
                None => (None, None),
            };
            return Some(Parsed::new(Schema::map(keys, items), Value::Map(aligned)));
        }
        if tokens.eat(",") {
            return None;
        }
        let key = element(tokens, depth)?;
        if key.value.is_null() || !tokens.eat(":") {
            return None;
        }
        let item = element(tokens, depth)?;
        tokens.eat(",");
        keys.add(key.schema.as_ref());
        items.add(item.schema.as_ref());
        match entries.iter_mut().find(|(known, _)| *known == key.value) {
            Some((_, value)) => *value = item.value,
            None => entries.push((key.value, item.value)),
        }
    }
    None
}

/// Dates, times and timestamps are told by their length.
fn temporal(text: &str) -> Option<Parsed> {
    let (kind, name, millis) = match text.len() {
        10 => (Type::Int32, DATE, calendar::parse_date(text)?),
        13 => (
            Type::Int32,
            TIME,
            calendar::parse_time(text.strip_suffix('Z')?)?,
        ),
        24 => (Type::Int64, TIMESTAMP, calendar::parse_timestamp(text)?),
        _ => return None,
    };
    text.is_ascii()
        .then(|| Parsed::new(Schema::new(kind).named(name, 1), Value::Date(millis)))
}

/// The smallest type that holds the number: an integer if it is one, else a float that is not
/// infinite, else Decimal.
fn number(decimal: Decimal) -> Option<Parsed> {
    if let Some(whole) = decimal
        .rescaled(0)
        .and_then(|d| i64::try_from(d.unscaled()).ok())
    {
        let (kind, value) = if let Ok(number) = i8::try_from(whole) {
            (Type::Int8, Value::Int8(number))
        } else if let Ok(number) = i16::try_from(whole) {
            (Type::Int16, Value::Int16(number))
        } else if let Ok(number) = i32::try_from(whole) {
            (Type::Int32, Value::Int32(number))
        } else {
            (Type::Int64, Value::Int64(whole))
        };
        return Some(Parsed::new(Schema::new(kind), value));
    }
    let text = decimal.to_string();
    if decimal.scale() != 0 {
        if let Some(number) = text.parse::<f32>().ok().filter(|number| number.is_finite()) {
            return Some(Parsed::new(
                Schema::new(Type::Float32),
                Value::Float32(number),
            ));
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Some(Parsed::new(
                Schema::new(Type::Float64),
                Value::Float64(number),
            ));
        }
    }
    Some(Parsed::new(
        Schema::decimal(decimal.scale()),
        Value::Decimal(decimal),
    ))
}
