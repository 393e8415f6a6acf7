//! The I/O edge: the worker's reactor, one type for every kind of byte stream, the read buffer that a thread lends out, and
//! deadlines.

pub(crate) mod address;
mod backlog;
pub(crate) mod clock;
mod deadline;
pub(crate) mod reactor;
pub(crate) mod scratch;
mod socket;
pub(crate) mod spare;
mod splice;
pub(crate) mod stream;
mod tcp_info;
pub(crate) mod tls;
mod transport;

pub(crate) use backlog::Backlog;
pub(crate) use deadline::Deadline;
pub(crate) use socket::{Acceptor, Socket, Unbound};
pub(crate) use splice::{SpliceError, poll_splice};
pub(crate) use stream::Stream;
pub(crate) use tcp_info::TcpInfo;
pub(crate) use tls::TlsStream;
pub(crate) use transport::Transport;

#[cfg(test)]
mod tests;
