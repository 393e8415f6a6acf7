//! Requests and responses through the whole gateway.

mod bodies;
mod kept;
mod laws;
mod questions;
mod upstreams;
