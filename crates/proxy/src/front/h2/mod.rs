//! HTTP/2 (RFC 9113) and WebSockets in its streams (RFC 8441).
//!
//! One task drives a connection: it reads and writes frames for all streams, and tells a flood from use. Each request is a
//! task of its own, which ends with its response, or when its stream has become a tunnel.

mod client;
mod connection;
mod request;
mod response;
mod rules;
mod tally;
mod wire;

pub(crate) use connection::serve;

#[cfg(test)]
mod tests;
