//! Culvert's traffic. What enters is a typed configuration; what leaves is running listeners, until a signal ends them.
//! This crate never reads a configuration file and never prints; it is the only one that awaits.

mod exchange;
mod front;
mod io;
mod lifecycle;
mod listen;
mod observe;
mod tls;
mod tunnel;
mod upstream;
#[cfg(test)]
mod world;

pub use lifecycle::{Launch, Reload, check, run};

/// The version of nginx whose documentation the configuration language follows: `$nginx_version`.
pub const NGINX_VERSION: &str = "1.31.0";
