//! What RFC 6455 says, as far as a gateway decides anything by it.

mod handshake;

pub use handshake::{Offer, accept_for, has_token};
