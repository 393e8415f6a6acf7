//! The one unsafe call of the reactor: tokio is asked to watch its descriptor.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the current runtime watch an epoll descriptor for events to read.
///
/// # Errors
/// Those of `epoll_ctl`.
pub(super) fn watch(epoll: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` names the same open descriptor for as long as it lives, the `AsyncFd` keeps it alive, and nobody can
    // take it out of an `Arc` that is shared.
    Ok(unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?)
}
