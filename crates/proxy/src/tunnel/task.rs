//! A tunnel as a task of its own, over streams that are no sockets, and the roll of such tasks: whom to wake when all of
//! them are to close.

use super::Tunnel;
use crate::io::Deadline;
use crate::io::reactor::Next;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;

/// A tunnel that tokio runs.
pub(crate) struct Task {
    tunnel: Tunnel,
    deadline: Deadline,
    place: Place,
}

impl Task {
    pub(super) fn new(tunnel: Tunnel) -> Task {
        Task { tunnel, deadline: Deadline::default(), place: Place::default() }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        loop {
            let closing = task.place.is_closing(cx);
            match task.tunnel.advance(cx, Instant::now(), closing) {
                Next::Wait(Some(due)) => task.deadline.set_at(due.into()),
                Next::Wait(None) => task.deadline.clear(),
                Next::Again => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::End => return Poll::Ready(()),
            }
            if task.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// The tunnels of one worker. A place is empty while nobody holds it.
#[derive(Default)]
struct Roll {
    wakers: Vec<Option<Waker>>,
    empty: Vec<u32>,
    closing: bool,
}

thread_local! {
    static ROLL: RefCell<Roll> = RefCell::default();
}

/// A tunnel's place in the roll, for as long as it lives.
#[derive(Debug, Default)]
struct Place(Option<u32>);

impl Place {
    /// Whether all tunnels of this worker are to close. Takes a place at the first call, so that the task is woken when
    /// that changes.
    fn is_closing(&mut self, cx: &Context<'_>) -> bool {
        ROLL.with_borrow_mut(|roll| {
            if self.0.is_none() {
                let place = roll.empty.pop().unwrap_or_else(|| {
                    roll.wakers.push(None);
                    u32::try_from(roll.wakers.len() - 1).expect("descriptors run out far earlier")
                });
                roll.wakers[place as usize] = Some(cx.waker().clone());
                self.0 = Some(place);
            }
            roll.closing
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(place) = self.0 else { return };
        // A runtime that is being dropped outlives the thread's other variables.
        let _ = ROLL.try_with(|roll| {
            let mut roll = roll.borrow_mut();
            roll.wakers[place as usize] = None;
            roll.empty.push(place);
        });
    }
}

/// Tells all tunnels of this worker to close.
pub(crate) fn close_all() {
    let wakers = ROLL.with_borrow_mut(|roll| {
        roll.closing = true;
        roll.wakers.iter().flatten().cloned().collect::<Vec<_>>()
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// Lets tunnels live again: in-process tests drain one worker after the other on the same thread.
pub(crate) fn reopen() {
    ROLL.with_borrow_mut(|roll| roll.closing = false);
}
