//! What `#[config(...)]` and the doc comment say about one field.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, ExprUnary, Field, Lit, Meta, Result, UnOp};

/// One field's answers; `None` where it says nothing.
#[derive(Default)]
pub struct Attributes {
    pub key: Option<String>,
    pub aliases: Vec<String>,
    pub default: Option<String>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub importance: Option<String>,
    pub group: String,
    pub display_name: Option<String>,
    pub dependents: Vec<String>,
    pub internal: bool,
    pub documentation: String,
}

impl Attributes {
    pub fn read(field: &Field) -> Result<Self> {
        let mut found = Self {
            documentation: documentation(&field.attrs),
            ..Self::default()
        };
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| found.take(&meta))?;
        }
        Ok(found)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.require_ident()?.to_string();
        match name.as_str() {
            "internal" => self.internal = true,
            "key" => self.key = Some(text(meta)?),
            "aliases" => self.aliases = list(meta)?,
            "default" => self.default = Some(text(meta)?),
            "min" => self.min = Some(number(meta)?),
            "max" => self.max = Some(number(meta)?),
            "group" => self.group = text(meta)?,
            "display_name" => self.display_name = Some(text(meta)?),
            "dependents" => self.dependents = list(meta)?,
            "importance" => {
                let importance = text(meta)?;
                if !["high", "medium", "low"].contains(&importance.as_str()) {
                    return Err(meta.error("importance is high, medium or low"));
                }
                self.importance = Some(importance);
            }
            _ => {
                return Err(meta.error(
                    "expected key, aliases, default, min, max, importance, group, display_name, dependents or internal",
                ));
            }
        }
        Ok(())
    }
}

/// The name that `#[config(name = "...")]` gives a choice.
pub fn choice_name(attributes: &[Attribute]) -> Result<Option<String>> {
    let mut name = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("expected name"));
            }
            name = Some(text(&meta)?);
            Ok(())
        })?;
    }
    Ok(name)
}

fn documentation(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) = &pair.value
        {
            lines.push(line.value().trim().to_owned());
        }
    }
    lines.join(" ").trim().to_owned()
}

/// A literal as a user would write it in a configuration.
fn text(meta: &ParseNestedMeta<'_>) -> Result<String> {
    literal(&meta.value()?.parse()?)
}

fn literal(value: &Expr) -> Result<String> {
    match value {
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => Ok(format!("-{}", literal(expr)?)),
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.value()),
        Expr::Lit(ExprLit {
            lit: Lit::Bool(flag),
            ..
        }) => Ok(flag.value.to_string()),
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => Ok(number.base10_digits().to_owned()),
        Expr::Lit(ExprLit {
            lit: Lit::Float(number),
            ..
        }) => Ok(number.base10_digits().to_owned()),
        other => Err(Error::new_spanned(
            other,
            "expected a string, a number or a boolean",
        )),
    }
}

fn number(meta: &ParseNestedMeta<'_>) -> Result<f64> {
    text(meta)?
        .parse()
        .map_err(|_| meta.error("expected a number"))
}

fn list(meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    match meta.value()?.parse()? {
        Expr::Array(array) => array.elems.iter().map(literal).collect(),
        other => Err(Error::new_spanned(other, "expected a list of strings")),
    }
}
