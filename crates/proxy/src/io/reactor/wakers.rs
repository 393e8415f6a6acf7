//! Machines whose sources are no sockets: a waker for each, and the list of those that were woken.
//!
//! A stream of an HTTP/2 connection wakes its reader while the connection's task holds the connection, so the machine can't
//! run in the same breath: it is noted, and run when that task is done, or by the keeper.

use super::machine;
use super::slots::Key;
use crate::io::clock;
use std::cell::RefCell;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Wakes one machine, on the thread that it lives on.
struct MachineWaker {
    machine: Key,
    /// It stands in the list.
    is_listed: AtomicBool,
}

#[derive(Default)]
struct Woken {
    list: Vec<Arc<MachineWaker>>,
    /// Runs what nobody else does.
    keeper: Option<Waker>,
}

thread_local! {
    static WOKEN: RefCell<Woken> = RefCell::default();
}

/// What wakes a machine of this thread.
pub(super) fn waker(machine: Key) -> Waker {
    Waker::from(Arc::new(MachineWaker { machine, is_listed: AtomicBool::new(false) }))
}

/// Tells who runs machines that were woken.
pub(super) fn set_keeper(keeper: &Waker) {
    WOKEN.with_borrow_mut(|woken| match &woken.keeper {
        Some(known) if known.will_wake(keeper) => {}
        _ => woken.keeper = Some(keeper.clone()),
    });
}

impl Wake for MachineWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_listed.swap(true, Ordering::Relaxed) {
            return;
        }
        // A runtime that is being dropped outlives the thread's other variables.
        let keeper = WOKEN.try_with(|woken| {
            let mut woken = woken.borrow_mut();
            woken.list.push(self.clone());
            if woken.list.len() == 1 { woken.keeper.clone() } else { None }
        });
        if let Ok(Some(keeper)) = keeper {
            keeper.wake();
        }
    }
}

/// Runs the machines that were woken since the last time. Whether there were any.
pub(crate) fn run_woken() -> bool {
    let woken = WOKEN.with_borrow_mut(|woken| mem::take(&mut woken.list));
    let now = clock::now();
    for waker in &woken {
        waker.is_listed.store(false, Ordering::Relaxed);
        machine::run(waker.machine, now, false);
    }
    !woken.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, Next, Registration, descriptors, install, run_to_end, stop};
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use tokio::time::Instant;

    /// Counts its runs, and hands its waker out.
    struct Sleeper {
        runs: Rc<Cell<u32>>,
        waker: Rc<RefCell<Option<Waker>>>,
    }

    impl Machine for Sleeper {
        fn run(&mut self, _: Instant, _: bool) -> Next {
            self.runs.set(self.runs.get() + 1);
            Next::Wait(None)
        }

        fn sources(&self) -> [Option<&Registration>; 2] {
            [None, None]
        }

        fn wake_by(&mut self, waker: &dyn Fn() -> Waker) {
            self.waker.replace(Some(waker()));
        }
    }

    #[test]
    fn a_woken_machine_runs_once_however_often_it_was_woken_and_not_at_all_when_it_is_gone() {
        install(descriptors().expect("a test has descriptors left"));
        let (runs, waker) = (Rc::new(Cell::new(0)), Rc::default());
        run_to_end(Box::new(Sleeper { runs: runs.clone(), waker: Rc::clone(&waker) }));
        let waker = waker.take().expect("it was given one");
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(runs.get(), 1, "nothing runs inside of a wake-up");
        assert!(run_woken());
        assert!(!run_woken());
        assert_eq!(runs.get(), 2);
        stop();
        waker.wake();
        assert!(run_woken());
        assert_eq!(runs.get(), 2);
    }
}
