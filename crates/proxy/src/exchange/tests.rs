//! Requests and responses through the whole gateway.

mod bodies;
mod laws;
mod upstreams;
