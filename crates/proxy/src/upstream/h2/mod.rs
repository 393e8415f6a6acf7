//! HTTP/2 towards upstream servers: many requests and WebSockets over few connections.
//!
//! ```text
//!   Exchange ── Connection ── Stream ─┐
//!   Exchange ── Connection ── Stream ─┼── Session: one connection, driven by a task of its own
//!   Tunnel ───────────────── Stream ──┘
//! ```
//!
//! A [`Stream`] speaks HTTP/1.1 on its near side: what is written to it is a request as any server would get it, what is read
//! from it a response. So retries, timeouts, buffering and logs know nothing of HTTP/2. On its far side are the frames, whose
//! flow control is the back-pressure.

mod message;
mod session;
mod sessions;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use session::open;
pub(crate) use sessions::close;
#[cfg(test)]
pub(crate) use sessions::open_again;
pub(super) use sessions::{Taken, add, note_http1, take, turnstile};
pub(crate) use stream::Stream;
