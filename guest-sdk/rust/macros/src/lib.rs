//! The derives of `tidegate-sdk`: a configuration struct and a configuration choice.

mod attributes;
mod choice;
mod config;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct with named fields a connector's configuration: see `tidegate_sdk::config`.
#[proc_macro_derive(ConnectorConfig, attributes(config))]
pub fn connector_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    config::derive(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a fieldless enum a configuration value; `LongName` is written `long-name`, unless
/// `#[config(name = "...")]` names it.
#[proc_macro_derive(ConfigChoice, attributes(config))]
pub fn config_choice(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::derive(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
