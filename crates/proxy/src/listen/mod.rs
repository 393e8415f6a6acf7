//! Listening sockets: bound once by the main thread, accepted from by every worker.

mod accept;
mod socket;

pub(crate) use accept::accept;
pub(crate) use socket::{Address, Listener, bind, bind_more, probe, raise_descriptor_limit};
