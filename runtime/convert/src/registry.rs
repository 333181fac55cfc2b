//! Converters by name.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    converter::{Converter, Side},
    converters::{
        byte_array::ByteArrayConverter,
        json::JsonConverter,
        primitive::{Primitive, PrimitiveConverter},
        string::StringConverter,
    },
    error::ConverterConfigError,
    settings::Settings,
};

/// Java names of all converters, for `GET /connector-plugins`.
pub fn converter_classes() -> &'static [&'static str] {
    &[
        "org.apache.kafka.connect.converters.BooleanConverter",
        "org.apache.kafka.connect.converters.ByteArrayConverter",
        "org.apache.kafka.connect.converters.DoubleConverter",
        "org.apache.kafka.connect.converters.FloatConverter",
        "org.apache.kafka.connect.converters.IntegerConverter",
        "org.apache.kafka.connect.converters.LongConverter",
        "org.apache.kafka.connect.converters.ShortConverter",
        "org.apache.kafka.connect.json.JsonConverter",
        "org.apache.kafka.connect.storage.StringConverter",
    ]
}

/// Makes a converter. `class` is the Java name or, as Connect's plug-in aliases have it, the
/// last part of it with or without `Converter`; `settings` have no `key.converter.` prefix.
///
/// # Errors
/// If the class is not known or a setting not allowed.
pub fn converter(
    class: &str,
    settings: &BTreeMap<String, String>,
    side: Side,
) -> Result<Arc<dyn Converter>, ConverterConfigError> {
    let settings = Settings {
        map: settings,
        side,
    };
    let simple = |java: &'static str| java.rsplit('.').next().unwrap_or(java);
    let known = converter_classes().iter().copied().find(|java| {
        let simple = simple(java);
        [java, simple].contains(&class) || simple.strip_suffix("Converter") == Some(class)
    });
    let primitive = |kind| Ok(Arc::new(PrimitiveConverter::new(kind)) as Arc<dyn Converter>);
    match known.map(simple) {
        Some("BooleanConverter") => primitive(Primitive::Boolean),
        Some("DoubleConverter") => primitive(Primitive::Double),
        Some("FloatConverter") => primitive(Primitive::Float),
        Some("IntegerConverter") => primitive(Primitive::Integer),
        Some("LongConverter") => primitive(Primitive::Long),
        Some("ShortConverter") => primitive(Primitive::Short),
        Some("ByteArrayConverter") => Ok(Arc::new(ByteArrayConverter::new())),
        Some("JsonConverter") => Ok(Arc::new(JsonConverter::new(settings)?)),
        Some("StringConverter") => Ok(Arc::new(StringConverter::new(settings)?)),
        _ => Err(ConverterConfigError::UnknownClass {
            key: side.setting().to_owned(),
            class: class.to_owned(),
            known: converter_classes().join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_known() {
        let none = BTreeMap::new();
        for class in converter_classes() {
            let simple = class.rsplit('.').next().unwrap();
            for name in [class, simple, simple.strip_suffix("Converter").unwrap()] {
                assert!(converter(name, &none, Side::Key).is_ok(), "{name}");
            }
        }
        let error = converter("io.confluent.connect.avro.AvroConverter", &none, Side::Key);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("key.converter: io.confluent")
        );
    }

    #[test]
    fn wrong_settings_are_named_in_full() {
        let settings = BTreeMap::from([("schemas.enable".to_owned(), "maybe".to_owned())]);
        let error = converter("Json", &settings, Side::Value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value.converter.schemas.enable: \"maybe\" is not allowed; use true or false"
        );
    }
}
