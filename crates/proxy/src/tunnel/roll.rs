//! The roll of a worker's tunnels: whom to wake when all of them are to close.

use std::cell::RefCell;
use std::task::{Context, Waker};

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
pub(super) struct Place(Option<u32>);

impl Place {
    /// Whether all tunnels of this worker are to close. Takes a place at the first call, so that the task is woken when
    /// that changes.
    pub(super) fn is_closing(&mut self, cx: &Context<'_>) -> bool {
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
#[cfg(test)]
pub(crate) fn reopen() {
    ROLL.with_borrow_mut(|roll| roll.closing = false);
}
