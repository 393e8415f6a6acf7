//! HTTP/1.0 and HTTP/1.1 (RFC 9112): a connection's requests, one after the other.

mod client;
mod connection;
mod linger;
mod read_head;
mod write_head;

pub(crate) use connection::serve;
pub(super) use read_head::limits;
pub(super) use write_head::is_of_the_head;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
