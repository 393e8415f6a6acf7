//! Machines: state machines that the reactor runs itself, when one of their sockets is ready or their time has come.

use super::slots::{Key, Slots};
use super::wakers::waker;
use super::{Owner, Registration, with_state};
use crate::io::clock::{self, Stamp};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

/// Something that owns sockets and is run whenever one of them is ready.
pub(crate) trait Machine: Any {
    /// Does all that there is to do. `closing`: the worker says goodbye to all machines.
    fn run(&mut self, now: Instant, closing: bool) -> Next;

    /// Its sockets' registrations.
    fn sources(&self) -> [Option<&Registration>; 2];

    /// Takes what wakes it, for sources that are no sockets. Called once, before its first run.
    fn wake_by(&mut self, _waker: &dyn Fn() -> Waker) {}
}

/// What a machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// For its sockets, and for this time at the latest.
    Wait(Option<Stamp>),
    /// For others to have their turn: it has more to do.
    Again,
    /// For nothing: it is to be dropped.
    End,
}

struct Seated {
    /// `None` while it runs.
    machine: Option<Box<dyn Machine>>,
    /// Its one entry among the timers. It stays where it is when it turns out to come too early.
    scheduled: Option<Stamp>,
}

/// The machines of a worker, and when to run them.
#[derive(Default)]
pub(super) struct Machines {
    seats: Slots<Seated>,
    timers: BTreeSet<Timer>,
    /// Woken when the first timer has become an earlier one.
    pub(super) keeper: Option<Waker>,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    due: Stamp,
    machine: u64,
}

impl Machines {
    /// When the first timer comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|timer| timer.due.into())
    }

    pub(super) fn take_all(&mut self) -> Vec<Box<dyn Machine>> {
        let keys = self.seats.keys();
        self.timers.clear();
        keys.into_iter().filter_map(|key| self.seats.remove(key)?.machine).collect()
    }

    fn schedule(&mut self, key: Key, due: Stamp) {
        let Some(seated) = self.seats.get_mut(key) else { return };
        let machine = key.to_u64();
        if let Some(scheduled) = seated.scheduled {
            if scheduled <= due {
                return;
            }
            self.timers.remove(&Timer { due: scheduled, machine });
        }
        seated.scheduled = Some(due);
        let is_first = self.timers.first().is_none_or(|first| due < first.due);
        self.timers.insert(Timer { due, machine });
        if let Some(keeper) = self.keeper.as_ref().filter(|_| is_first) {
            keeper.wake_by_ref();
        }
    }

    /// Takes a timer whose time has come.
    fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let timer = *self.timers.first().filter(|timer| timer.due <= Stamp::from(now))?;
        self.timers.remove(&timer);
        let key = Key::from_u64(timer.machine);
        self.seats.get_mut(key)?.scheduled = None;
        Some(key)
    }

    /// A machine that has ended leaves nothing behind.
    fn remove(&mut self, key: Key) {
        if let Some(due) = self.seats.remove(key).and_then(|seated| seated.scheduled) {
            self.timers.remove(&Timer { due, machine: key.to_u64() });
        }
    }
}

/// Gives a machine to the reactor of this thread, and runs it for the first time.
pub(crate) fn run_to_end(machine: Box<dyn Machine>) {
    let mut machine = machine;
    let key = with_state(|state| state.machines.seats.insert(Seated { machine: None, scheduled: None }));
    machine.wake_by(&|| waker(key));
    let closing = with_state(|state| {
        for source in machine.sources().into_iter().flatten() {
            if let Some(source) = state.sources.get_mut(source.0) {
                source.owner = Owner::Machine(key);
            }
        }
        if let Some(seated) = state.machines.seats.get_mut(key) {
            seated.machine = Some(machine);
        }
        state.machines.closing
    });
    run(key, clock::now(), closing);
}

/// Runs a machine. Whether tasks have something to do after that: those that wait for its end, or the keeper.
pub(super) fn run(key: Key, now: Instant, closing: bool) -> bool {
    let machine = with_state(|state| state.machines.seats.get_mut(key)?.machine.take());
    let Some(mut machine) = machine else { return false };
    // A panic ends one machine, as it would end one task, and not the worker that runs them all. The hook has told of it.
    let next = catch_unwind(AssertUnwindSafe(|| machine.run(now, closing))).unwrap_or(Next::End);
    let has_stream = machine.sources().iter().any(Option::is_none);
    let due = match next {
        Next::Wait(due) => due,
        // A moment later, or whoever runs what is due by now would never come to an end.
        Next::Again => Some(Stamp::from(now).after(Duration::from_nanos(1))),
        Next::End => {
            with_state(|state| state.machines.remove(key));
            return true;
        }
    };
    with_state(|state| {
        if let Some(seated) = state.machines.seats.get_mut(key) {
            seated.machine = Some(machine);
        }
        if let Some(due) = due {
            state.machines.schedule(key, due);
        }
    });
    // A machine without two sockets may have given its other source's task something to do.
    next == Next::Again || has_stream
}

/// Runs the machines whose time has come.
pub(super) fn run_due(now: Instant) {
    while let Some(key) = with_state(|state| state.machines.pop_due(now)) {
        run(key, now, false);
    }
}

/// Shows all machines of this worker, each with the number that [`visit`] knows it by.
pub(crate) fn for_each(mut look: impl FnMut(u64, &dyn Any)) {
    with_state(|state| {
        for key in state.machines.seats.keys() {
            if let Some(machine) = state.machines.seats.get_mut(key).and_then(|seated| seated.machine.as_deref()) {
                look(key.to_u64(), machine);
            }
        }
    });
}

/// Changes a machine and runs it. Does nothing where it has ended.
pub(crate) fn visit(machine: u64, change: impl FnOnce(&mut dyn Any)) {
    let key = Key::from_u64(machine);
    let is_there = with_state(|state| {
        let machine = state.machines.seats.get_mut(key).and_then(|seated| seated.machine.as_deref_mut());
        machine.map(|machine| change(machine)).is_some()
    });
    if is_there {
        run(key, Instant::now(), false);
    }
}

/// Tells all machines of this worker, and all that follow, to close.
pub(crate) fn close_machines() {
    let keys = with_state(|state| {
        state.machines.closing = true;
        state.machines.seats.keys()
    });
    let now = Instant::now();
    for key in keys {
        run(key, now, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::reactor;
    use std::cell::Cell;
    use std::rc::Rc;

    /// Notes how often it runs, and panics at the end.
    struct Fragile(Rc<Cell<u32>>);

    impl Machine for Fragile {
        fn run(&mut self, _: Instant, closing: bool) -> Next {
            self.0.set(self.0.get() + 1);
            assert!(!closing, "a machine that panics, for a test");
            Next::Wait(None)
        }

        fn sources(&self) -> [Option<&Registration>; 2] {
            [None, None]
        }
    }

    #[test]
    fn a_machine_has_one_timer_however_often_it_moves_and_none_when_it_is_gone() {
        let (mut machines, now) = (Machines::default(), Instant::now());
        let key = machines.seats.insert(Seated { machine: None, scheduled: None });
        for second in (1..1_000).rev() {
            machines.schedule(key, Stamp::from(now + Duration::from_secs(second)));
        }
        assert_eq!((machines.timers.len(), machines.next_due()), (1, Some(now + Duration::from_secs(1))));
        assert_eq!(machines.pop_due(now), None);
        assert_eq!(machines.pop_due(now + Duration::from_secs(1)), Some(key));
        machines.schedule(key, now.into());
        machines.remove(key);
        assert!(machines.timers.is_empty());
    }

    #[test]
    fn a_machine_that_panics_is_dropped_and_the_others_go_on() {
        reactor::install(reactor::descriptors().expect("a test has descriptors left"));
        let runs = [Rc::new(Cell::new(0)), Rc::new(Cell::new(0))];
        runs.iter().for_each(|runs| run_to_end(Box::new(Fragile(runs.clone()))));
        close_machines();
        assert_eq!(runs.each_ref().map(|runs| (runs.get(), Rc::strong_count(runs))), [(2, 1), (2, 1)]);
    }
}
