//! The bell that calls a thread back from its reactor.
//!
//! A wait of one millisecond would do as well, but arms a timer of the processor's for each wait and stops it again, which
//! on a virtual machine takes the hypervisor's help: 2.5 µs of every 32-byte round trip. The bell is armed once for all
//! the waits until then.

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What the bell's event is known by. No socket's: those number their slots from 0.
pub(super) const EVENT: u64 = u64::MAX;

/// A timer that the reactor watches beside its sockets.
#[derive(Debug)]
pub(crate) struct Bell {
    timer: OwnedFd,
    /// It is to ring, or has rung and nobody was told yet.
    is_set: bool,
}

impl Bell {
    /// A bell that rings in `epoll`.
    ///
    /// # Errors
    /// Those of `timerfd_create` and `epoll_ctl`.
    pub(super) fn new(epoll: impl AsFd) -> io::Result<Bell> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // Edge-triggered, so that nobody has to read how often it has rung.
        epoll::add(epoll, &timer, EventData::new_u64(EVENT), EventFlags::IN | EventFlags::ET)?;
        Ok(Bell { timer, is_set: false })
    }

    /// Notes that the reactor was told of its ringing.
    pub(super) fn has_rung(&mut self) {
        self.is_set = false;
    }

    /// Has it ring after `delay`, unless it is set already. Whether it will. No clock is asked: one that is behind the timer,
    /// or ahead of it, would leave the bell unset, or put its ringing off for ever.
    pub(super) fn set(&mut self, delay: Duration) -> bool {
        if self.is_set {
            return true;
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: 0, tv_nsec: i64::from(delay.subsec_nanos()) };
        let once = Itimerspec { it_interval: zero, it_value: value };
        self.is_set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok();
        self.is_set
    }
}
