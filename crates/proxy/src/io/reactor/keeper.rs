//! How the reactor and tokio's runtime share a thread.
//!
//! While little happens, tokio waits for both: the reactor's epoll descriptor is one of tokio's sources, and the keeper, a
//! task, turns the reactor when it stirs. That costs every wake-up a second look. While much happens, the thread waits in
//! the reactor itself, from the hook that the runtime calls before it parks, and gives tokio a turn every few milliseconds,
//! for its timers and for what other threads say. Where no event comes for so long, a [bell](super::bell) rings.

use super::super::clock;
use super::bell::Bell;
use super::watch::watch;
use super::{Turned, Wait, machine, turn, wakers, with_state};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long tokio's timers and other threads wait while the thread handles events in the reactor.
const TOKIO_AT_LEAST_EVERY: Duration = Duration::from_millis(4);

/// When the bell rings if no event comes by which the time would be noticed. Each ring wakes the thread for nothing else, so it
/// rings less often.
const BELL: Duration = Duration::from_millis(5);

/// At this mean distance of events a second look at each costs more than a vain wait now and then.
const HOT_BELOW: Duration = Duration::from_micros(300);

/// The longest distance of events that is told from longer ones.
const GAP_MAX: Duration = Duration::from_millis(10);

/// How densely events come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    /// A moving mean of the time between two turns, in nanoseconds.
    gap: u64,
}

impl Pace {
    /// Notes a turn that ended now.
    pub(super) fn note(&mut self, now: Instant, had_events: bool) {
        let gap = self.last.map_or(GAP_MAX, |last| now.saturating_duration_since(last)).min(GAP_MAX);
        self.gap = (self.gap * 7 + u64::from(gap.subsec_nanos())) / 8;
        if had_events {
            self.last = Some(now);
        }
    }

    fn is_hot(&self) -> bool {
        self.gap < u64::from(HOT_BELOW.subsec_nanos()) && self.last.is_some()
    }
}

/// Called before the runtime parks its thread: handles what comes for as long as much comes.
pub(crate) fn park() {
    clock::forget();
    if stay() == Left::ForTokio {
        with_state(|state| {
            state.lends_turn = true;
            if let Some(keeper) = &state.machines.keeper {
                keeper.wake_by_ref();
            }
        });
    }
    // The runtime may wait for long now, where nothing that was told woke a task.
    clock::forget();
}

/// Why a thread has left its reactor.
#[derive(PartialEq, Eq)]
enum Left {
    /// Tasks have something to do, or little happens.
    ToTokio,
    /// It is tokio's turn: it is to look at its timers and at what other threads say, and not to wait for them.
    ForTokio,
}

fn stay() -> Left {
    let mut since = None;
    loop {
        let is_hot = with_state(|state| state.pace.is_hot() && state.bell.set(BELL));
        if !is_hot {
            return Left::ToTokio;
        }
        let Turned { events, tasks, bell, .. } = turn(Wait::UntilEvent);
        let now = clock::now();
        if bell || now.duration_since(*since.get_or_insert(now)) >= TOKIO_AT_LEAST_EVERY {
            return Left::ForTokio;
        }
        if tasks || events == 0 {
            return Left::ToTokio;
        }
    }
}

/// The task that turns the reactor of its thread, for as long as it lives.
pub(crate) struct Keeper {
    epoll: AsyncFd<Arc<OwnedFd>>,
    bell: Cell<Option<Bell>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Keeper {
    /// Makes a reactor that the current runtime watches.
    ///
    /// # Errors
    /// Those of `epoll_create1`, `epoll_ctl` and `timerfd_create`.
    pub(crate) fn new() -> io::Result<Keeper> {
        let (epoll, bell) = super::descriptors()?;
        Ok(Keeper { epoll: watch(epoll)?, bell: Cell::new(Some(bell)), sleep: None })
    }

    /// Makes the reactor the one of the current thread.
    pub(crate) fn install(&self) {
        if let Some(bell) = self.bell.take() {
            super::install((self.epoll.get_ref().clone(), bell));
        }
    }
}

impl Future for Keeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let keeper = self.get_mut();
        with_state(|state| state.machines.keeper = Some(cx.waker().clone()));
        wakers::set_keeper(cx.waker());
        if with_state(|state| std::mem::take(&mut state.lends_turn)) {
            // A task that yields has the runtime look at its timers and at other threads without a wait, and is woken again.
            let _ = pin!(yield_now()).poll(cx);
        }
        // The runtime ends before its driver does, so the only error there is comes at the very end.
        while let Poll::Ready(Ok(mut stirred)) = keeper.epoll.poll_read_ready(cx) {
            if turn(Wait::No).may_be_more {
                // Others have their turn first.
                cx.waker().wake_by_ref();
                stirred.retain_ready();
                break;
            }
            stirred.clear_ready();
        }
        wakers::run_woken();
        keeper.poll_timers(cx);
        Poll::Pending
    }
}

impl Keeper {
    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = with_state(|state| state.machines.next_due()) {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if sleep.deadline() != due {
                sleep.as_mut().reset(due);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            machine::run_due(Instant::now());
        }
    }
}
