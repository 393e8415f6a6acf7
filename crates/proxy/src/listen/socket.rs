//! Binding.

use crate::observe::error_log::os_error;
use culvert_conf::config::Listen;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A resolved `listen` address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(addr) => addr.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that one worker accepts from.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP: a socket of the worker's own (`SO_REUSEPORT`).
    Tcp(std::net::TcpListener),
    /// A unix socket, shared by all workers.
    Unix(UnixListener),
}

impl Listener {
    /// Another descriptor of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Listener> {
        Ok(match self {
            Listener::Tcp(listener) => Listener::Tcp(listener.try_clone()?),
            Listener::Unix(listener) => Listener::Unix(listener.try_clone()?),
        })
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> OwnedFd {
        match listener {
            Listener::Tcp(listener) => listener.into(),
            Listener::Unix(listener) => listener.into(),
        }
    }
}

/// nginx's default on Linux.
const BACKLOG: i32 = 511;

/// Makes sure that nobody else listens on `address`. Needed because `SO_REUSEPORT` lets two processes of one user share a
/// port in silence. The error is nginx's message.
pub(crate) fn probe(address: &Address, options: &Listen) -> Result<(), String> {
    match address {
        Address::Inet(addr) => match inet_socket(*addr, options, false) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("bind", address, &error)),
        },
        Address::Unix(path) => match UnixStream::connect(path) {
            Ok(_) => Err(failed("bind", address, &io::Error::from_raw_os_error(nix::libc::EADDRINUSE))),
            Err(_) => Ok(()),
        },
    }
}

/// Binds one listening socket for each of `workers` threads. The error is nginx's message.
pub(crate) fn bind(address: &Address, options: &Listen, workers: usize) -> Result<Vec<Listener>, String> {
    let listeners = match address {
        Address::Inet(addr) => (0..workers).map(|_| inet_listener(*addr, options)).collect::<io::Result<Vec<_>>>(),
        Address::Unix(path) => unix_listeners(path, workers),
    };
    listeners.map_err(|error| failed("bind", address, &error))
}

/// Adds `more` sockets to an address that is bound already; `model` is one of its sockets. The error is nginx's message.
pub(crate) fn bind_more(
    address: &Address,
    options: &Listen,
    model: Option<&Listener>,
    more: usize,
) -> Result<Vec<Listener>, String> {
    let listeners = match (address, model) {
        (Address::Unix(_), Some(model)) => (0..more).map(|_| model.try_clone()).collect(),
        (Address::Inet(addr), model) => (0..more).map(|_| another_inet_listener(*addr, options, model)).collect(),
        (Address::Unix(path), None) => unix_listeners(path, more),
    };
    listeners.map_err(|error: io::Error| failed("bind", address, &error))
}

/// The kernel lets only one user join a port's sockets (`SO_REUSEPORT`), so a gateway that was root when it bound the first
/// ones shares one of those among workers.
fn another_inet_listener(addr: SocketAddr, options: &Listen, model: Option<&Listener>) -> io::Result<Listener> {
    match (inet_listener(addr, options), model) {
        (Err(error), Some(model)) if error.kind() == io::ErrorKind::AddrInUse => model.try_clone(),
        (bound, _) => bound,
    }
}

fn failed(call: &str, address: &Address, error: &io::Error) -> String {
    format!("[emerg] {call}() to {address} failed ({})", os_error(error))
}

fn inet_listener(addr: SocketAddr, options: &Listen) -> io::Result<Listener> {
    let socket = inet_socket(addr, options, true)?;
    socket.listen(options.backlog.unwrap_or(BACKLOG))?;
    Ok(Listener::Tcp(socket.into()))
}

fn inet_socket(addr: SocketAddr, options: &Listen, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.ipv6only.unwrap_or(true))?;
    }
    // Accepted sockets inherit both: small frames must not wait for an acknowledgement (RFC 896).
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = options.so_keepalive {
        socket.set_keepalive(keepalive)?;
    }
    socket.bind(&SockAddr::from(addr))?;
    Ok(socket)
}

/// The caller has probed that nobody listens, so a socket file that is in the way was left behind by a crash.
fn unix_listeners(path: &PathBuf, workers: usize) -> io::Result<Vec<Listener>> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let first = UnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    // As nginx: whoever may enter the directory may connect.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    let mut listeners = Vec::with_capacity(workers);
    for _ in 1..workers {
        listeners.push(Listener::Unix(first.try_clone()?));
    }
    listeners.push(Listener::Unix(first));
    Ok(listeners)
}

/// Raises the limit on descriptors to `wanted` (`worker_rlimit_nofile`), or as far as it may be. The error is nginx's message.
pub(crate) fn raise_descriptor_limit(wanted: Option<u64>) -> Result<(), String> {
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| format!("[alert] getrlimit() failed ({error})"))?;
    let soft = wanted.unwrap_or(hard);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard.max(soft)).map_err(|error| {
        format!("[alert] setrlimit(RLIMIT_NOFILE, {soft}) failed ({}: {})", error as i32, error.desc())
    })
}
