//! What RFC 6455 says, as far as a gateway decides anything by it: which requests are handshakes, and, once a socket is
//! open, where its frames begin and end while they pass.
//!
//! ```text
//!  bytes of one side ──► Direction ──► bytes for the other side      a Session owns both directions, the heartbeat,
//!                            │                                       the clocks and the closing; a Policy, shared by
//!                            └──► pongs, Closes, violations          all sockets of a location, says what it wants
//! ```

mod direction;
mod frame;
mod handshake;
mod heartbeat;
mod policy;
mod rate;
mod session;
mod summary;
mod utf8;
mod violation;

pub use frame::{ControlFrame, HEADER_BYTES_MAX, Header, HeaderParser, Opcode, apply_mask};
pub use handshake::{Offer, accept_for, has_token};
pub use policy::{Opcodes, OverRate, Ping, Policy, Rate, Side, Validation};
pub use session::{Action, Session};
pub use summary::{Cause, Close, EndedBy, RoundTrips, SideSummary, Summary};
pub use violation::{Violation, Violations};
