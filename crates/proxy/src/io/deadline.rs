//! A deadline that is cheap to move: moving it notes a time, and only when the timer fires is it looked at again.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time to be woken at. Nothing is registered with the timer wheel until the first wait.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    due: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// A century is as good as never and still an instant that the timer wheel can hold.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Deadline {
    /// Moves the deadline to `wait` from `now`.
    pub(crate) fn set(&mut self, now: Instant, wait: Duration) {
        self.due = now.checked_add(wait.min(NEVER));
    }

    /// Whether there is a deadline.
    pub(crate) fn is_set(&self) -> bool {
        self.due.is_some()
    }

    /// Moves the deadline to a point in time.
    #[cfg(test)]
    pub(crate) fn set_at(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// Takes the deadline away. The timer itself may fire once more, and is then let go.
    pub(crate) fn clear(&mut self) {
        self.due = None;
    }

    /// Ready once the deadline has passed; never without one. Wakes the task at the deadline.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}
