//! A worked port: `rules` is the library under test, the rest is glue. Shared by `main.rs` and `tests/vectors.rs`.

pub mod json;
pub mod model;
pub mod real;
pub mod rules;
