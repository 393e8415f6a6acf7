//! `sticky`: requests of one client go to one server, whether they poll or open a WebSocket.
//!
//! ```text
//!   request ──► what does it ask for? ──► Routes: the server of that id ──► a pick that is bound to it, if it can
//!               cookie: its value             or Sessions: the server                │ else a fresh pick
//!               route:  the first variable    that the session learned               ▼
//!               learn:  the session's id                        response: Set-Cookie, or the session is learned
//! ```
//!
//! A server's id ([`server_id`]) is its `route=`, or what nginx makes of its address. Nothing that a client sends is
//! believed beyond choosing among the servers, and a [`Signer`] takes that from it, too.

mod cookie;
mod cookie_time;
mod route;
mod sessions;
mod signer;

#[cfg(test)]
mod laws;

pub use cookie::{Cookie, Expires, cookie_value};
pub use route::{Routes, first_value, server_id};
pub use sessions::{Learned, Sessions, sessions_in_zone};
pub use signer::Signer;

use crate::template::Template;
use std::time::Duration;

/// The `sticky` directive.
#[derive(Debug, Clone)]
pub enum Sticky {
    /// `sticky cookie`: the client is given the server's id.
    Cookie(Cookie),
    /// `sticky route`: a variable of the request has the server's id; the first of these that is not empty.
    Route(Vec<Template>),
    /// `sticky learn`: a table remembers which server began which session.
    Learn(Learn),
}

/// `sticky learn`.
#[derive(Debug, Clone)]
pub struct Learn {
    /// Where a response has the id of a new session: the first that is not empty.
    pub create: Vec<Template>,
    /// Where a request has the id of its session: the first that is not empty.
    pub lookup: Vec<Template>,
    /// The name of the table.
    pub zone: Box<str>,
    /// How many sessions it can have ([`sessions_in_zone`]).
    pub sessions_max: usize,
    /// A session that is not used for so long is forgotten.
    pub timeout: Duration,
    /// Learns as soon as the head of the response is there, not at its end. Tunnels always do.
    pub header: bool,
}
