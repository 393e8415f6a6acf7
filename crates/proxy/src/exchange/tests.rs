//! Requests and responses through the whole gateway.

mod access;
mod balancing;
mod bodies;
mod filters;
mod kept;
mod laws;
mod proxying;
mod questions;
mod queue;
mod reloads;
mod sticky;
mod upstreams;
