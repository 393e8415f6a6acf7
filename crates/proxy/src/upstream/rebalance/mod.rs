//! Tunnels that have to go elsewhere: those of a server that is down (`on_server_down close`), and a few of the others while
//! a server has far less than its share (`rebalance`).
//!
//! Whether, how many and how fast is decided in `engine::rebalance`, by a task per upstream in the main thread. The tunnels are
//! on the workers: the [`Crew`] asks them which there are, and tells them which have to go. A tunnel that goes is told so
//! by a Close with 1012 (Service Restart), so that its client knows to come back.

mod crew;
mod evacuation;
mod moves;

pub(crate) use crew::{Crew, Desk, Question};

use super::background::View;
use evacuation::Evacuation;
use moves::Moves;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Service Restart: come back. Registered with IANA beside those of RFC 6455 section 7.4.1.
const SERVICE_RESTART: u16 = 1012;

/// While tunnels go: as often as the engine has portions for.
const BUSY: Duration = Duration::from_millis(100);
/// While none has to.
const QUIET: Duration = Duration::from_secs(1);

/// Sends away what has to go of an upstream, as the latest of `views` has it.
pub(super) async fn roll(mut views: watch::Receiver<Arc<View>>) {
    let (mut evacuation, mut moves) = (Evacuation::default(), Moves::default());
    loop {
        let view = views.borrow_and_update().clone();
        let evacuating = evacuation.step(&view).await;
        let moving = moves.step(&view).await;
        let wait = evacuating.into_iter().chain(moving).min();
        let pause = async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => {}
            () = view.state.peer_changed.notified() => {}
            changed = views.changed() => if changed.is_err() { return },
        }
    }
}
