//! The HTTP/2 connections of a worker, by where they lead and how.

use super::session::Session;
use super::stream::Stream;
use crate::upstream::way::Route;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// The connections that lead to the same place in the same way.
struct Group {
    route: Route,
    sessions: Vec<Session>,
    /// Whoever makes a connection holds it, so that others wait for that one instead of each making their own.
    turnstile: Arc<Mutex<()>>,
    /// Until when the server is known to choose HTTP/1.1, where it has the choice.
    http1_until: Option<Instant>,
}

#[derive(Default)]
struct Book {
    groups: Vec<Group>,
    sweeping: bool,
    /// The worker drains: nothing is kept any more.
    closed: bool,
}

thread_local! {
    static BOOK: RefCell<Book> = RefCell::default();
}

/// How often the book is looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// For how long a server that chose HTTP/1.1 is taken to go on doing so.
const MEMORY: Duration = Duration::from_secs(60);

/// What a connection of the book has for a request.
#[derive(Debug)]
pub(in crate::upstream) enum Taken {
    /// A stream.
    Stream(Box<Stream>),
    /// The server takes no WebSockets as streams.
    NoWebSockets,
    /// The server chose HTTP/1.1 a short while ago, so there is no connection to wait for.
    Http1,
    /// Nothing: a connection has to be made.
    Nothing,
}

impl Book {
    fn group(&mut self, route: &Route) -> &mut Group {
        let at = self.groups.iter().position(|group| group.route == *route).unwrap_or_else(|| {
            let (sessions, turnstile) = (Vec::new(), Arc::default());
            self.groups.push(Group { route: route.clone(), sessions, turnstile, http1_until: None });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

impl Group {
    fn take(&mut self, for_websocket: bool, now: Instant) -> Taken {
        self.sessions.retain_mut(|session| session.is_usable(now));
        if for_websocket && self.sessions.iter().any(|session| !session.takes_websockets) {
            return Taken::NoWebSockets;
        }
        match self.sessions.iter_mut().find_map(|session| session.begin(now)) {
            Some(stream) => Taken::Stream(Box::new(stream)),
            None if self.http1_until.is_some_and(|until| now < until) => Taken::Http1,
            None => Taken::Nothing,
        }
    }

    fn is_of_use(&mut self, now: Instant) -> bool {
        self.sessions.retain_mut(|session| session.is_usable(now));
        !self.sessions.is_empty()
            || Arc::strong_count(&self.turnstile) > 1
            || self.http1_until.is_some_and(|until| now < until)
    }
}

/// Begins a stream on a connection that there is.
pub(in crate::upstream) fn take(route: &Route, for_websocket: bool) -> Taken {
    BOOK.with_borrow_mut(|book| match book.groups.iter_mut().find(|group| group.route == *route) {
        Some(group) => group.take(for_websocket, Instant::now()),
        None => Taken::Nothing,
    })
}

/// What is held while a connection is made.
pub(in crate::upstream) fn turnstile(route: &Route) -> Arc<Mutex<()>> {
    change(|book| book.group(route).turnstile.clone())
}

/// Enters a new connection, after beginning a stream on it.
pub(in crate::upstream) fn add(route: &Route, mut session: Session, for_websocket: bool) -> Taken {
    let begun = match for_websocket && !session.takes_websockets {
        true => Taken::NoWebSockets,
        false => session.begin(Instant::now()).map_or(Taken::Nothing, |stream| Taken::Stream(Box::new(stream))),
    };
    change(|book| {
        // A worker that drains makes a connection for each request that it still has.
        if !book.closed {
            let group = book.group(route);
            group.http1_until = None;
            group.sessions.push(session);
        }
    });
    begun
}

/// Notes that the server has chosen HTTP/1.1.
pub(in crate::upstream) fn note_http1(route: &Route) {
    change(|book| book.group(route).http1_until = Some(Instant::now() + MEMORY));
}

fn change<T>(f: impl FnOnce(&mut Book) -> T) -> T {
    let (result, start_sweeping) = BOOK.with_borrow_mut(|book| {
        let result = f(book);
        (result, !book.groups.is_empty() && !std::mem::replace(&mut book.sweeping, true))
    });
    if start_sweeping {
        tokio::spawn(sweep());
    }
    result
}

/// Lets connections go that idled too long or have ended, for as long as there are any.
async fn sweep() {
    loop {
        sleep(SWEEP).await;
        let done = BOOK.with_borrow_mut(|book| {
            let now = Instant::now();
            book.groups.retain_mut(|group| group.is_of_use(now));
            book.sweeping = !book.groups.is_empty();
            !book.sweeping
        });
        if done {
            return;
        }
    }
}

/// Begins no more streams on any connection of this worker: each ends with its last one.
pub(crate) fn close() {
    BOOK.with_borrow_mut(|book| {
        book.groups.clear();
        book.closed = true;
    });
}

/// Keeps connections again: in-process tests drain one worker after the other on the same thread.
#[cfg(test)]
pub(crate) fn open_again() {
    BOOK.with_borrow_mut(|book| book.closed = false);
}
