//! Load balancing: which peer of an upstream takes the next request.
//!
//! One [`Balancer`] holds all that is known of an upstream's peers, and is asked with [`Balancer::pick`] and told with
//! [`Balancer::answered`], [`Balancer::completed`] and [`Balancer::done`] how it went. It is made to be shared by all threads
//! behind one mutex: counts and failures are exact, a pick over a thousand peers takes well under a microsecond, and nothing
//! is asked of it per message.
//!
//! ```text
//! Balancer ── Table ─┬─ Peers        who may be chosen: specs, states, live counts, weights (columns that vectorise)
//!                    ├─ RoundRobin   whose turn it is: every method's last resort and tie-breaker
//!                    └─ Times        how fast the peers answer
//!          └─ Choose                 the method: one file each, with what is its own (rings, scores)
//! ```
//!
//! Peers come and go. A [`PeerId`] is a slot and its generation: it means the same peer for as long as anybody holds it,
//! and nobody else afterwards.

mod balancer;
mod consistent;
mod crc32;
mod hash;
mod ip_hash;
mod least;
mod least_conn;
mod least_time;
mod method;
mod peer;
mod peers;
mod random;
mod request;
mod ring;
mod round_robin;
mod scan;
mod spec;
mod table;
mod times;
mod tried;
mod walk;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub use balancer::{After, Balancer, Status};
pub use method::{Method, Metric, Rival};
pub use request::{Ending, NoPeer, Request, Ticket};
pub use spec::{Health, PeerId, PeerSpec, State};
pub use tried::Tried;
