//! `health_check`: a task per upstream that probes its peers.
//!
//! The [`Ward`] holds what the probes made of each peer; when the next one is due and what its result means is decided in
//! `engine::health`. The task runs what is due and tells the balancer what has changed.

mod dial;
mod probe;
mod ward;

pub(super) use ward::Ward;

use super::background::{View, now};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Probes the peers of an upstream, as the latest of `views` has it.
pub(super) async fn watch(mut views: watch::Receiver<Arc<View>>) {
    let mut probes = JoinSet::new();
    loop {
        let view = views.borrow_and_update().clone();
        let (due, next) = view.ward().start_due(now());
        for (probe, kept) in due {
            probes.spawn(probe.run(kept));
        }
        let sleep = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            Some(Ok(ended)) = probes.join_next() => view.ward().probe_ended(&view, ended, now()),
            () = view.state.ward_changed.notified() => {}
            changed = views.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests;
