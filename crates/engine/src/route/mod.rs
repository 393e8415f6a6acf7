//! Routing: which server block takes a request ([`ServerNames`]) and which of its locations ([`LocationTree`]).

pub(crate) mod host_table;
mod location;
mod server_name;

pub use location::{Choice, Duplicate, LocationTree};
pub use server_name::{NameError, ServerNames};
