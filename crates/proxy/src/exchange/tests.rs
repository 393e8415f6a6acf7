//! Requests and responses through the whole gateway.

mod access;
mod balancing;
mod bodies;
mod kept;
mod laws;
mod proxying;
mod questions;
mod queue;
mod reloads;
mod sticky;
mod upstreams;
