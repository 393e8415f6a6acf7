//! Names of servers: which addresses they have now.
//!
//! ```text
//!   server name resolve ──► names: a task per upstream ─┐
//!                                                       ├──► Asker: A and AAAA, or SRV and its targets ──► Client: name servers in turn
//!   proxy_pass http://$name ──► Lookups ──► desk ───────┘
//! ```
//!
//! All of it happens in the main thread. What an answer means, and when to ask again, is decided in `engine::discovery`.

mod asker;
mod client;
mod desk;
mod names;
mod records;

pub(crate) use desk::Lookups;
pub(super) use names::Names;
