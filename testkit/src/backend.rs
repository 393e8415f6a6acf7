//! A scripted upstream server: it does exactly what the test says and remembers exactly what it saw.

use crate::Deadline;
use crate::message::{Head, Request};
use crate::wire::{Endpoint, Tap, Wire};
use socket2::{SockAddr, Socket};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A listening upstream server with a thread per connection. Dropping it closes everything and, unless the test is
/// failing already, fails the test if a script panicked.
#[derive(Debug)]
pub struct Backend {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// All bytes that the script has read.
    pub received: Vec<u8>,
    /// Whether the script has returned.
    pub ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    connections: Vec<Connection>,
    requests: Vec<Request>,
    /// Clones of the sockets, to wake the scripts that wait on them; `None` once a script has ended.
    sockets: Vec<Option<Socket>>,
    scripts: Vec<JoinHandle<()>>,
}

impl Backend {
    /// Listens and runs `script` for every connection. When the script returns, the connection is closed.
    ///
    /// # Panics
    /// When it cannot listen.
    #[track_caller]
    pub fn start(endpoint: impl Into<Endpoint>, script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let endpoint = endpoint.into();
        let (listener, _) = listen(&endpoint).unwrap_or_else(|error| panic!("cannot listen on {endpoint:?}: {error}"));
        let shared = Arc::new(Shared::default());
        let script: Arc<Script> = Arc::new(script);
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept_all(&listener, &shared, &script)
        });
        Backend { endpoint, shared, acceptor: Some(acceptor) }
    }

    /// Answers every request on every connection with the same bytes; the connection stays open.
    #[track_caller]
    pub fn answering(endpoint: impl Into<Endpoint>, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Backend::start(
            endpoint,
            move |conversation| {
                while conversation.request().is_some() && conversation.send(&bytes) {}
            },
        )
    }

    /// Accepts and never answers; a connection ends when its peer ends it.
    #[track_caller]
    pub fn silent(endpoint: impl Into<Endpoint>) -> Self {
        Backend::start(endpoint, |conversation| {
            conversation.read_to_close();
        })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The requests that were read whole, in the order of their heads' arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Waits until `count` requests were read, and gives them.
    #[track_caller]
    pub fn requests_until(&self, count: usize, deadline: Deadline) -> Vec<Request> {
        self.wait(&format!("{count} requests at the backend"), deadline, |_, requests| {
            (requests.len() >= count).then(|| requests.to_vec())
        })
    }

    /// What each connection brought, in the order of their acceptance.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.lock().connections.clone()
    }

    /// Waits until what was seen satisfies `probe`.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, deadline: Deadline, probe: impl Fn(&[Connection], &[Request]) -> Option<T>) -> T {
        let mut seen = self.shared.lock();
        loop {
            if let Some(value) = probe(&seen.connections, &seen.requests) {
                return value;
            }
            let Some(left) = deadline.remaining() else {
                panic!("waited in vain for {what}; seen: {:?}", seen.connections);
            };
            seen = self.shared.changed.wait_timeout(seen, left).expect("nobody panics while holding it").0;
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The acceptor waits in accept(2); a connection wakes it.
        if let Ok((socket, address)) = self.endpoint.socket() {
            let _ = socket.connect(&address);
        }
        let accepted = self.acceptor.take().map_or(Ok(()), JoinHandle::join);
        let scripts = {
            let mut seen = self.shared.lock();
            for socket in seen.sockets.iter().flatten() {
                // It fails where the peer has closed already.
                let _ = socket.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut seen.scripts)
        };
        let panicked = scripts.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        if !std::thread::panicking() {
            assert!(accepted.is_ok() && panicked == 0, "{panicked} scripts of the backend panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while holding it")
    }

    fn record(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// What a backend does with each connection.
type Script = dyn Fn(&mut Conversation) + Send + Sync;

/// One connection, in the hands of a script. Calls give `None` or `false` when the peer has gone or the deadline has
/// passed: a script usually just ends then.
#[derive(Debug)]
pub struct Conversation {
    wire: Option<Wire>,
    shared: Arc<Shared>,
    number: usize,
}

impl Conversation {
    /// The number of this connection, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The wire, for what has no method here; `None` after a reset.
    pub fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// Reads a whole request and remembers it.
    pub fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        let body = self.wire.as_mut()?.take_body(head.request_framing()).ok()?;
        let request = Request { connection: self.number, head, body };
        self.shared.record(|seen| seen.requests.push(request.clone()));
        Some(request)
    }

    /// Reads the head of a request only.
    pub fn head(&mut self) -> Option<Head> {
        self.wire.as_mut()?.take_head().ok()?
    }

    /// Reads exactly `count` bytes.
    pub fn read_exact(&mut self, count: usize) -> Option<Vec<u8>> {
        self.wire.as_mut()?.take(count).ok()?
    }

    /// Reads to the end of the stream.
    pub fn read_to_close(&mut self) -> Option<Vec<u8>> {
        self.wire.as_mut()?.take_rest().ok()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.as_mut().is_some_and(|wire| wire.send(bytes.as_ref()).is_ok())
    }

    /// Ends the outgoing direction; the other one stays open.
    pub fn half_close(&mut self) -> bool {
        self.wire.as_mut().is_some_and(|wire| wire.half_close().is_ok())
    }

    /// Closes with a TCP reset.
    pub fn reset(&mut self) {
        if let Some(wire) = self.wire.take() {
            self.forget();
            wire.reset();
        }
    }

    /// Drops the clone of the socket, which would hold it open.
    fn forget(&self) {
        self.shared.record(|seen| seen.sockets[self.number] = None);
    }
}

fn listen(endpoint: &Endpoint) -> io::Result<(Socket, SockAddr)> {
    let (socket, address) = endpoint.socket()?;
    socket.set_reuse_address(true)?;
    socket.bind(&address)?;
    if let Endpoint::Unix(path) = endpoint {
        // A gateway that gives up its privileges still has to connect.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    }
    socket.listen(1_024)?;
    Ok((socket, address))
}

fn accept_all(listener: &Socket, shared: &Arc<Shared>, script: &Arc<Script>) {
    while let Ok((socket, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(clone) = socket.try_clone() else { return };
        let number = {
            let mut seen = shared.lock();
            seen.connections.push(Connection::default());
            seen.sockets.push(Some(clone));
            seen.connections.len() - 1
        };
        shared.changed.notify_all();
        let conversation =
            Conversation { wire: Some(tapped(socket, shared, number)), shared: Arc::clone(shared), number };
        let script = Arc::clone(script);
        let running = std::thread::spawn(move || converse(conversation, &*script));
        shared.lock().scripts.push(running);
    }
}

fn converse(mut conversation: Conversation, script: &Script) {
    script(&mut conversation);
    conversation.forget();
    drop(conversation.wire.take());
    let number = conversation.number;
    conversation.shared.record(|seen| seen.connections[number].ended = true);
}

/// The wire of a connection, with everything that arrives on it recorded.
fn tapped(socket: Socket, shared: &Arc<Shared>, number: usize) -> Wire {
    let shared = Arc::clone(shared);
    let tap: Tap = Box::new(move |bytes| {
        shared.record(|seen| seen.connections[number].received.extend_from_slice(bytes));
    });
    Wire::new(socket, Some(tap))
}
