//! The tasks that keep answers fresh, one per certificate, in the main thread.

use super::{Answer, Staple, fetch};
use crate::lifecycle::Generation;
use crate::observe::error_log::ErrorSink;
use crate::upstream::discovery::Lookups;
use culvert_conf::config::Level;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// After a failure, and at the earliest after an answer, the responder is asked again after so long; before an answer ends by so
/// long. These and the next are nginx's times.
const SOON: Duration = Duration::from_secs(300);
/// At the latest.
const LATER: Duration = Duration::from_secs(3600);

/// Starts the tasks of a generation. Those of the one before end with their set; what they have learned stays.
pub(crate) fn keep(generation: &Arc<Generation>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for staple in generation.tls.staples().all() {
        tasks.spawn(staple.clone().keep_fresh(generation.lookups.clone(), generation.error_sink.clone()));
    }
    tasks
}

/// When to ask again after an answer that holds until then.
fn next_time(now: SystemTime, until: Option<SystemTime>) -> SystemTime {
    let before_end = until.and_then(|until| until.checked_sub(SOON)).unwrap_or(now + LATER);
    before_end.min(now + LATER).max(now + SOON)
}

impl Staple {
    async fn keep_fresh(self: Arc<Self>, lookups: Lookups, log: ErrorSink) {
        loop {
            self.until_due().await;
            let asked = self.ask(&lookups, &log).await;
            let now = SystemTime::now();
            let due = match asked {
                Some(answer) => {
                    let due = next_time(now, answer.until);
                    self.state.answer.store(Some(Arc::new(answer)));
                    due
                }
                // What was known before is shown until it expires.
                None => now + SOON,
            };
            *self.state.due.lock().unwrap_or_else(PoisonError::into_inner) = Some(due);
        }
    }

    /// Waits by the clock of the answers' times, which may be set; so it is looked at now and then.
    async fn until_due(&self) {
        loop {
            let due = *self.state.due.lock().unwrap_or_else(PoisonError::into_inner);
            let left = due.and_then(|due| due.duration_since(SystemTime::now()).ok());
            match left.filter(|left| !left.is_zero()) {
                Some(left) => sleep(left.min(SOON)).await,
                None => return,
            }
        }
    }

    async fn ask(&self, lookups: &Lookups, log: &ErrorSink) -> Option<Answer> {
        let asked = async {
            let question = self.subject.question().map_err(|why| (why, None))?;
            let (der, peer) = fetch::ask(self, &question, lookups).await.map_err(|failed| (failed.why, failed.peer))?;
            let until = self.subject.check(&der, SystemTime::now(), self.verify, self.algorithms);
            until.map(|until| Answer { der, until }).map_err(|why| (why, Some(peer)))
        };
        match asked.await {
            Ok(answer) => Some(answer),
            Err((why, peer)) => {
                self.complain(log, why, peer);
                None
            }
        }
    }

    fn complain(&self, log: &ErrorSink, why: impl Display, peer: Option<SocketAddr>) {
        let peer = peer.map(|peer| format!(", peer: {peer}")).unwrap_or_default();
        let (host, name) = (&self.responder.host, &self.name);
        let circumstances = format_args!("responder: {host}{peer}, certificate: \"{name}\"");
        log.write(Level::Error, 0, format_args!("{why} while requesting certificate status, {circumstances}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_renewed_before_it_ends_but_neither_too_often_nor_too_late() {
        let now = SystemTime::now();
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        assert_eq!(next_time(now, None), after(3600));
        assert_eq!(next_time(now, Some(after(100_000))), after(3600));
        assert_eq!(next_time(now, Some(after(2000))), after(1700));
        assert_eq!(next_time(now, Some(after(60))), after(300));
        assert_eq!(next_time(now, Some(SystemTime::UNIX_EPOCH)), after(300));
    }
}
