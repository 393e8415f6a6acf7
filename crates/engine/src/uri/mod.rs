//! Request targets and host names as nginx reads them: what is a path, what are its arguments, what is refused.

mod escape;
mod host;
mod internal;
mod path;
mod target;

pub use escape::{escape_args, escape_uri, needs_escape};
pub use host::{BadHost, Host, host_of};
pub use internal::parse_internal;
pub use path::normalise;
pub use target::{ParsedTarget, Target, parse_target, split};

use std::fmt;

/// The request target is refused: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUri;

impl fmt::Display for BadUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client sent invalid request")
    }
}

impl std::error::Error for BadUri {}
