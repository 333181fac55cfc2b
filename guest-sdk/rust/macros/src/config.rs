//! `#[derive(ConnectorConfig)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Result};

use crate::attributes::Attributes;

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    let mut definitions = Vec::new();
    let mut checks = Vec::new();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (index, field) in fields.iter().enumerate() {
        let attributes = Attributes::read(field)?;
        let spec = spec(field, &attributes)?;
        let (name, kind) = (&field.ident, &field.ty);
        let value = format_ident!("value_{index}");
        if !attributes.internal {
            definitions.push(quote!(::tidegate_sdk::config::define::<#kind>(&#spec)));
        }
        checks.push(quote! {
            let #value = ::tidegate_sdk::config::check::<#kind>(raw, &#spec, &mut errors);
        });
        names.push(name);
        values.push(value);
    }
    let ident = &input.ident;
    let (generics, types, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::tidegate_sdk::config::ConnectorConfig for #ident #types #bounds {
            fn definitions() -> ::std::vec::Vec<::tidegate_sdk::config::Definition> {
                ::std::vec![#(#definitions),*]
            }

            fn parse(
                raw: &::tidegate_sdk::config::RawConfig,
            ) -> ::core::result::Result<Self, ::std::vec::Vec<::tidegate_sdk::config::ConfigError>> {
                let mut errors = ::std::vec::Vec::new();
                #(#checks)*
                match (#(#values,)*) {
                    (#(::core::option::Option::Some(#values),)*) if errors.is_empty() => {
                        ::core::result::Result::Ok(Self { #(#names: #values),* })
                    }
                    _ => ::core::result::Result::Err(errors),
                }
            }
        }
    })
}

fn named_fields(input: &DeriveInput) -> Result<Vec<&Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(fields) => Err(Error::new_spanned(fields, "name the fields")),
        },
        _ => Err(Error::new_spanned(
            &input.ident,
            "a configuration is a struct",
        )),
    }
}

fn spec(field: &Field, attributes: &Attributes) -> Result<TokenStream> {
    let name = field
        .ident
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let Attributes {
        aliases,
        documentation,
        group,
        dependents,
        ..
    } = attributes;
    if documentation.is_empty() && !attributes.internal {
        return Err(Error::new_spanned(
            field,
            "document the key: its users see this comment",
        ));
    }
    let key = attributes
        .key
        .clone()
        .unwrap_or_else(|| name.replace('_', "."));
    let display_name = attributes
        .display_name
        .clone()
        .unwrap_or_else(|| title(&name));
    let importance = attributes.importance.as_deref().unwrap_or("medium");
    let (default, min, max) = (
        option(attributes.default.as_ref()),
        option(attributes.min),
        option(attributes.max),
    );
    Ok(quote! {
        ::tidegate_sdk::config::Spec {
            key: #key,
            aliases: &[#(#aliases),*],
            documentation: #documentation,
            importance: #importance,
            group: #group,
            display_name: #display_name,
            default: #default,
            min: #min,
            max: #max,
            dependents: &[#(#dependents),*],
        }
    })
}

fn option<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// `batch_size` is shown as "Batch size".
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut chars = words.chars();
    let first = chars
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    first + chars.as_str()
}
