//! The I/O edge: one type for every kind of byte stream, the read buffer that a worker thread lends out, and deadlines.

mod backlog;
mod deadline;
pub(crate) mod scratch;
mod transport;

pub(crate) use backlog::Backlog;
pub(crate) use deadline::Deadline;
pub(crate) use transport::Transport;

#[cfg(test)]
mod tests;
