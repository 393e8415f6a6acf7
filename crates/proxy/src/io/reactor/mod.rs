//! The worker's reactor: readiness of sockets from one epoll instance, for tasks and for machines.
//!
//! A socket is one slot here (32 bytes) and belongs to a task, whose waker it keeps, or to a [`Machine`], which is run in
//! the same breath: no task, no waker, no scheduler. tokio's own registration would cost a tunnel 512 bytes and each message
//! a trip through the run queue.
//!
//! Readiness is edge-triggered: a bit stays set until a call has shown that there is nothing left. A read that fills less
//! than its buffer has shown it, so that no `EAGAIN` is paid for, unless the end of the stream was announced.
//!
//! The reactor lives below tokio's runtime and is driven in two ways, see [`keeper`].

mod bell;
mod keeper;
mod machine;
mod slots;
mod wakers;
mod watch;

pub(crate) use keeper::{Keeper, park};
pub(crate) use machine::{Machine, Next, close_machines, for_each, run_to_end, visit};
pub(crate) use wakers::run_woken;

use super::clock;
use bell::Bell;
use machine::Machines;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use slots::{Key, Slots};
use std::cell::{OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::task::coop;
use tokio::time::Instant;

/// How many events one turn takes from the kernel.
const EVENTS_PER_TURN: usize = 256;

/// What a socket can be ready for, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready(u8);

impl Ready {
    pub(crate) const NOTHING: Ready = Ready(0);
    /// There may be something to read, or the end of the stream.
    pub(crate) const READ: Ready = Ready(1);
    /// There may be room to write to.
    pub(crate) const WRITE: Ready = Ready(2);
    /// The other side has ended the stream, or it has failed: a short read shows nothing any more.
    const HUNG: Ready = Ready(4);
    /// The other side has ended its stream: a short read takes the last of it.
    const ENDED: Ready = Ready(16);
    /// There is urgent data (TCP's), at which reads stop short, as if there were nothing behind it.
    const URGENT: Ready = Ready(32);
    /// The socket has an error to tell, or nobody is at its other end.
    pub(crate) const ERROR: Ready = Ready(8);

    fn of(flags: EventFlags) -> Ready {
        let mut bits = 0;
        if flags.contains(EventFlags::IN) {
            bits |= Ready::READ.0;
        }
        if flags.contains(EventFlags::OUT) {
            bits |= Ready::WRITE.0;
        }
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            bits |= Ready::READ.0 | Ready::HUNG.0;
        }
        if flags.contains(EventFlags::PRI) {
            bits |= Ready::READ.0 | Ready::URGENT.0;
        }
        if flags.contains(EventFlags::RDHUP) {
            bits |= Ready::ENDED.0;
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            bits |= Ready::WRITE.0 | Ready::ERROR.0;
        }
        Ready(bits)
    }

    fn holds(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }
}

/// Who is told that a socket is ready.
enum Owner {
    Nobody,
    Task(Waker),
    Machine(Key),
}

struct Source {
    ready: Ready,
    /// What the owner, where it is a task, waits for.
    awaited: Ready,
    owner: Owner,
}

/// A socket's place in the reactor of its worker, for as long as the socket lives. Of use on that worker's thread only.
#[derive(Debug)]
pub(crate) struct Registration(Key);

struct Reactor {
    epoll: Arc<OwnedFd>,
    state: RefCell<State>,
}

struct State {
    sources: Slots<Source>,
    machines: Machines,
    events: Vec<Event>,
    pace: keeper::Pace,
    bell: Bell,
    /// The thread has left the reactor for tokio's sake, and comes back as soon as tokio has looked around.
    lends_turn: bool,
}

thread_local! {
    static REACTOR: OnceCell<Reactor> = const { OnceCell::new() };
}

/// Makes a reactor around these descriptors the one of the current thread. Does nothing where it has one.
pub(crate) fn install((epoll, bell): Descriptors) {
    let state = State {
        sources: Slots::default(),
        machines: Machines::default(),
        events: Vec::with_capacity(EVENTS_PER_TURN),
        pace: keeper::Pace::default(),
        bell,
        lends_turn: false,
    };
    REACTOR.with(|reactor| _ = reactor.set(Reactor { epoll, state: RefCell::new(state) }));
}

/// What a reactor is built around: the epoll descriptor and the timer in it.
pub(crate) type Descriptors = (Arc<OwnedFd>, Bell);

/// Makes what a reactor is built around.
///
/// # Errors
/// Those of `epoll_create1`, `timerfd_create` and `epoll_ctl`: no descriptors are left.
pub(crate) fn descriptors() -> io::Result<Descriptors> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let bell = Bell::new(&epoll)?;
    Ok((Arc::new(epoll), bell))
}

/// Ends all machines of the current thread.
pub(crate) fn stop() {
    // They tell their outcome when they are dropped, and let their sockets go: not while the state is borrowed.
    let machines = with_state(|state| state.machines.take_all());
    drop(machines);
}

fn with<T>(f: impl FnOnce(&Reactor) -> T) -> T {
    REACTOR.with(|reactor| f(reactor.get().expect("workers start their reactor before anything else")))
}

fn with_state<T>(f: impl FnOnce(&mut State) -> T) -> T {
    with(|reactor| f(&mut reactor.state.borrow_mut()))
}

impl Registration {
    /// Registers `socket`, which is known to be `ready` for so much.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: the kernel's memory or its limit of watches is used up.
    pub(crate) fn new(socket: impl AsFd, ready: Ready) -> io::Result<Registration> {
        with(|reactor| {
            let source = Source { ready, awaited: Ready::NOTHING, owner: Owner::Nobody };
            let key = reactor.state.borrow_mut().sources.insert(source);
            let registration = Registration(key);
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&reactor.epoll, socket, EventData::new_u64(key.to_u64()), interest)?;
            Ok(registration)
        })
    }

    /// Ready once the socket may be; otherwise the task of `cx` is woken when it is. A machine's socket wakes its machine.
    pub(crate) fn poll_ready(&self, ready: Ready, cx: &mut Context<'_>) -> Poll<()> {
        let by_machine = ready!(with_state(|state| {
            let source = state.sources.get_mut(self.0).expect("a slot lives as long as its registration");
            let by_machine = matches!(source.owner, Owner::Machine(_));
            if source.ready.holds(ready) {
                return Poll::Ready(by_machine);
            }
            source.awaited.0 |= ready.0;
            match &source.owner {
                Owner::Machine(_) => {}
                Owner::Task(waker) if waker.will_wake(cx.waker()) => {}
                _ => source.owner = Owner::Task(cx.waker().clone()),
            }
            Poll::Pending
        }));
        if !by_machine {
            // A task whose socket is always ready lets others have their turn (a machine counts for itself).
            ready!(coop::poll_proceed(cx)).made_progress();
        }
        Poll::Ready(())
    }

    /// Notes that a call has shown that there is nothing left.
    pub(crate) fn is_spent(&self, ready: Ready) {
        with_state(|state| {
            if let Some(source) = state.sources.get_mut(self.0) {
                source.ready.0 &= !ready.0;
            }
        });
    }

    /// Notes a read that filled less than its buffer: nothing is left, unless the end of the stream is, or an urgent mark.
    pub(crate) fn was_short(&self) {
        with_state(|state| {
            if let Some(source) = state.sources.get_mut(self.0)
                && !source.ready.holds(Ready(Ready::HUNG.0 | Ready::URGENT.0))
            {
                source.ready.0 &= !Ready::READ.0;
            }
        });
    }

    /// Whether the other side has ended its stream and nothing failed, as far as the last turn has told.
    pub(crate) fn has_ended(&self) -> bool {
        with_state(|state| {
            let ready = state.sources.get_mut(self.0).map_or(Ready::NOTHING, |source| source.ready);
            ready.holds(Ready::ENDED) && !ready.holds(Ready(Ready::ERROR.0 | Ready::URGENT.0))
        })
    }

    /// Whether the other side has ever sent urgent data.
    pub(crate) fn is_urgent(&self) -> bool {
        self.may_be(Ready::URGENT)
    }

    /// Whether the socket may be ready, as far as the last turn has told.
    pub(crate) fn may_be(&self, ready: Ready) -> bool {
        with_state(|state| state.sources.get_mut(self.0).is_some_and(|source| source.ready.holds(ready)))
    }

    /// Forgets whom to tell: the task that used the socket is done with it for now, and need not be kept in memory for it.
    pub(crate) fn release(&self) {
        let owner = with_state(|state| {
            state.sources.get_mut(self.0).map(|source| std::mem::replace(&mut source.owner, Owner::Nobody))
        });
        drop(owner);
    }
}

impl Drop for Registration {
    /// The kernel forgets a socket that is closed by itself.
    fn drop(&mut self) {
        // A runtime that is being dropped outlives the thread's other variables.
        let source = REACTOR.try_with(|reactor| Some(reactor.get()?.state.borrow_mut().sources.remove(self.0)));
        drop(source);
    }
}

/// What a turn did.
#[derive(Debug, Clone, Copy, Default)]
struct Turned {
    /// How many events of sockets came.
    events: usize,
    /// The kernel told of as many events as were asked for: there may be more, of which it says nothing anew.
    may_be_more: bool,
    /// Something happened that tasks may have to follow up.
    tasks: bool,
    /// The bell has rung.
    bell: bool,
}

/// How long a turn waits for the kernel to have something to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Not at all.
    No,
    /// Until it has: the bell, which has to be set, is the last that it tells.
    UntilEvent,
}

/// Takes what the kernel has to tell, and tells the owners.
fn turn(wait: Wait) -> Turned {
    let mut events = with_state(|state| std::mem::take(&mut state.events));
    events.clear();
    let timeout = (wait == Wait::No).then_some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 });
    // An interruption by a signal is a turn without events. Nothing else can fail on an epoll descriptor.
    let _ = with(|reactor| epoll::wait(&reactor.epoll, spare_capacity(&mut events), timeout));
    let now = Instant::now();
    clock::set(now);
    let may_be_more = events.len() == events.capacity();
    let mut turned = Turned { events: events.len(), may_be_more, ..Turned::default() };
    for event in &events {
        let (flags, data) = (event.flags, event.data);
        if data.u64() == bell::EVENT {
            turned.events -= 1;
            turned.bell = true;
            with_state(|state| state.bell.has_rung());
            continue;
        }
        turned.tasks |= tell(Key::from_u64(data.u64()), Ready::of(flags), now);
    }
    with_state(|state| {
        state.events = events;
        state.pace.note(now, turned.events > 0);
    });
    turned
}

/// Who was told of an event.
enum Told {
    Machine(Key),
    Task,
    /// It is news to nobody.
    Nobody,
}

/// Tells the owner of a source. Whether tasks may have to follow that up.
fn tell(source: Key, ready: Ready, now: Instant) -> bool {
    let told = with_state(|state| {
        // The socket may have been closed by what an earlier event of the same turn led to.
        let Some(source) = state.sources.get_mut(source) else { return Told::Nobody };
        source.ready.0 |= ready.0;
        match &source.owner {
            Owner::Machine(key) => Told::Machine(*key),
            // That a socket takes more is told with everything else, and is news only to who waits for it.
            Owner::Task(waker) if source.ready.holds(source.awaited) => {
                source.awaited = Ready::NOTHING;
                waker.wake_by_ref();
                Told::Task
            }
            Owner::Task(_) | Owner::Nobody => Told::Nobody,
        }
    });
    match told {
        Told::Machine(key) => machine::run(key, now, false),
        Told::Task => true,
        Told::Nobody => false,
    }
}
