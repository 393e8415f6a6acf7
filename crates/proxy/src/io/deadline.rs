//! A deadline that is cheap to move: moving it notes a time, and only when the timer fires is it looked at again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time to be woken at. Nothing is registered with the timer wheel until the first wait.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    due: Option<Instant>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// The task that it wakes.
    wakes: Waker,
}

/// A century is as good as never and still an instant that the timer wheel can hold.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Deadline {
    /// Moves the deadline to `wait` from `now`.
    pub(crate) fn set(&mut self, now: Instant, wait: Duration) {
        self.due = now.checked_add(wait.min(NEVER));
    }

    /// Moves the deadline to `due`, unless it is earlier already.
    pub(crate) fn hasten(&mut self, due: Instant) {
        self.due = Some(self.due.map_or(due, |own| own.min(due)));
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
        let timer =
            self.timer.get_or_insert_with(|| Timer { sleep: Box::pin(sleep_until(due)), wakes: Waker::noop().clone() });
        // Most waits end before their time: the timer that runs already does for the next, however often that moves.
        if due >= timer.sleep.deadline() && !timer.sleep.is_elapsed() && timer.wakes.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        timer.poll(due, cx)
    }
}

impl Timer {
    fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
        // Without the budget that a busy task may have used up: asked then, the timer would not note the task.
        while pin!(unconstrained(self.sleep.as_mut())).poll(cx).is_ready() {
            if self.sleep.deadline() >= due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
        self.wakes.clone_from(cx.waker());
        Poll::Pending
    }
}
