//! The pure part of Tidegate: what things are called, what they look like and what is decided
//! about them. Nothing here does I/O, reads a clock or knows a runtime.
#![forbid(unsafe_code)]

pub mod columns;
