//! Who may pass: networks, passwords, limits of requests and connections, and what a client's address really is.

mod connections;
mod forwarded;
mod geo;
mod htpasswd;
mod memory_hard;
mod network;
mod rates;
mod referer;
mod secure_link;
mod split;

pub use connections::{Connections, Entered};
pub use forwarded::real_address;
pub use geo::{Added, Geo, GeoNetworks, GeoRanges, RangeError, parse_range};
pub use htpasswd::{Verdict, hash_of, is_slow, verify};
pub use network::{Network, NetworkError};
pub use rates::{Admission, RateLimit, Rates, admit};
pub use referer::{RefererKeyError, Referers};
pub use secure_link::{check_link, check_secret, expiry_of};
pub use split::{Split, SplitError, murmur2};
