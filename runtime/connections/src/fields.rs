//! Fields by their dotted paths.

use tidegate_convert::{Schema, Value};

/// A value and its schema, if it has one.
pub(crate) type Typed<'a> = (Option<&'a Schema>, &'a Value);

/// The field `path` below `of`; `None` if there is none. Dots descend into structs and maps, but
/// a field that has the dots in its own name is nearer: Flatten makes such names.
pub(crate) fn field<'a>(of: Typed<'a>, path: &str) -> Option<Typed<'a>> {
    if let Some(found) = child(of, path) {
        return Some(found);
    }
    path.rmatch_indices('.').find_map(|(dot, _)| {
        let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        field(child(of, name)?, rest)
    })
}

fn child<'a>((schema, value): Typed<'a>, name: &str) -> Option<Typed<'a>> {
    match value {
        Value::Struct(fields) => {
            let index = fields.schema().field_index(name)?;
            let field = fields.schema().fields.get(index)?;
            Some((Some(&field.schema), fields.values().get(index)?))
        }
        Value::Map(entries) => {
            let (_, value) = entries
                .iter()
                .find(|(key, _)| matches!(key, Value::String(key) if key == name))?;
            Some((schema.and_then(|map| map.value_schema.as_deref()), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_convert::{Field, Struct, Type};

    use super::*;

    fn map(entries: &[(&str, Value)]) -> Value {
        let entry = |(key, value): &(&str, Value)| (Value::String((*key).into()), value.clone());
        Value::Map(entries.iter().map(entry).collect())
    }

    #[test]
    fn paths_descend() {
        let inner = map(&[("b", Value::Int8(1)), ("c.d", Value::Int8(2))]);
        let schema = Arc::new(Schema::structure(vec![
            Field {
                name: "a".into(),
                schema: Arc::new(Schema::map(None, Some(Arc::new(Schema::new(Type::Int8))))),
            },
            Field {
                name: "a.flat".into(),
                schema: Arc::new(Schema::new(Type::Int8)),
            },
        ]));
        let value = Value::Struct(Struct::new(schema, vec![inner, Value::Int8(3)]));
        let found = |path| field((None, &value), path).map(|(_, value)| value.clone());
        assert_eq!(found("a.b"), Some(Value::Int8(1)));
        assert_eq!(found("a.c.d"), Some(Value::Int8(2)));
        assert_eq!(found("a.flat"), Some(Value::Int8(3)));
        let (schema, _) = field((None, &value), "a.b").unwrap();
        assert_eq!(schema.map(|schema| schema.kind), Some(Type::Int8));
        for missing in ["", ".", "b", "a.b.c", "a.", ".a", "a.x", "a.flat.x"] {
            assert_eq!(found(missing), None, "{missing}");
        }
    }
}
