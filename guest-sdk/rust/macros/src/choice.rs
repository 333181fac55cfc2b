//! `#[derive(ConfigChoice)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::attributes::choice_name;

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a choice is an enum"));
    };
    let mut pairs = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice has no fields"));
        }
        let ident = &variant.ident;
        let name = choice_name(&variant.attrs)?.unwrap_or_else(|| kebab(&ident.to_string()));
        pairs.push(quote!((#name, Self::#ident)));
    }
    let ident = &input.ident;
    Ok(quote! {
        impl ::tidegate_sdk::config::ConfigChoice for #ident {
            const CHOICES: &'static [(&'static str, Self)] = &[#(#pairs),*];
        }
    })
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}
