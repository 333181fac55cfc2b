//! Configuration files: Java's `.properties`, and connectors in JSON.

use std::path::Path;

use serde_json::Value;
use tidegate_model::config::ConfigMap;

use crate::error::CliError;

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|e| bad(path, e))
}

fn bad(path: &Path, reason: impl ToString) -> CliError {
    CliError::Read {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// A `.properties` file as Java reads it, in UTF-8.
pub(crate) fn properties(path: &Path) -> Result<ConfigMap, CliError> {
    let bytes = read(path)?;
    let mut map = ConfigMap::new();
    java_properties::PropertiesIter::new_with_encoding(bytes.as_slice(), encoding_rs::UTF_8)
        .read_into(|key, value| {
            map.insert(key, value);
        })
        .map_err(|e| bad(path, e))?;
    Ok(map)
}

/// A connector's name and configuration.
pub(crate) fn connector(path: &Path) -> Result<(String, ConfigMap), CliError> {
    let mut config = match path.extension().and_then(|e| e.to_str()) {
        Some("properties") => properties(path)?,
        _ => json(path)?,
    };
    let name = config.get("name").cloned().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(bad(path, "there is no \"name\""));
    }
    config.insert("name".to_owned(), name.clone());
    Ok((name, config))
}

fn json(path: &Path) -> Result<ConfigMap, CliError> {
    let value: Value = serde_json::from_slice(&read(path)?).map_err(|e| bad(path, e))?;
    let Value::Object(mut fields) = value else {
        return Err(bad(path, "it is not a JSON object"));
    };
    // Either the whole request or the bare configuration.
    if let Some(Value::Object(config)) = fields.get("config") {
        let mut config = config.clone();
        if let Some(name) = fields.remove("name") {
            config.insert("name".to_owned(), name);
        }
        fields = config;
    }
    fields
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Number(number) => Ok((key, number.to_string())),
            Value::Bool(bool) => Ok((key, bool.to_string())),
            _ => Err(bad(
                path,
                format!("the value of {key} is not a string, number or boolean"),
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn javas_properties() {
        let (_keep, path) = file(
            "w.properties",
            "# worker\nbootstrap.servers = a:1,\\\n  b:2\nsasl.jaas.config=x required username=\"ü\";\n\
             empty=\npath=C\\:\\\\x\n",
        );
        let map = properties(&path).unwrap();
        let get = |key: &str| map.get(key).map(String::as_str);
        assert_eq!(get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(get("sasl.jaas.config"), Some("x required username=\"ü\";"));
        assert_eq!((get("empty"), get("path")), (Some(""), Some("C:\\x")));
    }

    #[test]
    fn connectors_in_each_form() {
        for (name, text) in [
            (
                "c.json",
                r#"{"name":"c","config":{"tasks.max":2,"x":true}}"#,
            ),
            ("c.json", r#"{"name":"c","tasks.max":"2","x":"true"}"#),
            ("c.properties", "name=c\ntasks.max=2\nx=true\n"),
        ] {
            let (_keep, path) = file(name, text);
            let (name, config) = connector(&path).unwrap();
            assert_eq!((name.as_str(), config["tasks.max"].as_str()), ("c", "2"));
            assert_eq!(config.len(), 3);
        }
    }

    #[test]
    fn bad_files_are_named() {
        for text in [
            "{",
            "[]",
            r#"{"tasks.max":1}"#,
            r#"{"name":"c","config":{"x":[1]}}"#,
        ] {
            let (_keep, path) = file("bad.json", text);
            let error = connector(&path).unwrap_err().to_string();
            assert!(error.contains("bad.json"), "{error}");
        }
    }
}
