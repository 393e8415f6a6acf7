//! The backends of the thread's world, where the gateway's connections to them arrive.

use super::PIPE_BYTES;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use tokio::io::{DuplexStream, duplex};

/// How a backend meets connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// It takes them.
    #[default]
    Open,
    /// It refuses them at once.
    Refusing,
    /// It leaves them without an answer.
    Silent,
}

#[derive(Default)]
struct Network {
    pipe_bytes: Option<usize>,
    moods: HashMap<String, Mood>,
    arrived: VecDeque<(String, DuplexStream)>,
}

thread_local! {
    static NETWORK: RefCell<Network> = RefCell::default();
}

/// A fresh network whose pipes towards backends hold `pipe_bytes` in each direction.
pub(super) fn begin(pipe_bytes: usize) {
    NETWORK.set(Network { pipe_bytes: Some(pipe_bytes), ..Network::default() });
}

/// Sets how `backend` meets connections from now on.
pub(super) fn set_mood(backend: &str, mood: Mood) {
    NETWORK.with_borrow_mut(|network| network.moods.insert(backend.to_owned(), mood));
}

/// The oldest connection that arrived and was not taken, at any backend or at the named one.
pub(super) fn take(backend: Option<&str>) -> Option<(String, DuplexStream)> {
    NETWORK.with_borrow_mut(|network| {
        let at = network.arrived.iter().position(|(name, _)| backend.is_none_or(|wanted| wanted == name))?;
        network.arrived.remove(at)
    })
}

/// The gateway's connect.
pub(crate) async fn connect(backend: &str) -> io::Result<DuplexStream> {
    let mood = NETWORK.with_borrow(|network| network.moods.get(backend).copied().unwrap_or_default());
    match mood {
        // 111 is ECONNREFUSED on Linux.
        Mood::Refusing => Err(io::Error::from_raw_os_error(111)),
        Mood::Silent => std::future::pending().await,
        Mood::Open => Ok(NETWORK.with_borrow_mut(|network| {
            let (ours, theirs) = duplex(network.pipe_bytes.unwrap_or(PIPE_BYTES));
            network.arrived.push_back((backend.to_owned(), theirs));
            ours
        })),
    }
}
