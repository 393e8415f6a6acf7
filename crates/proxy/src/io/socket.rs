//! TCP and unix sockets on the worker's reactor.

use super::reactor::{Ready, Registration};
use super::tcp_info::{self, TcpInfo};
use crate::upstream::Source;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{IpBindAddressNoPort, IpTransparent};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
    sockopt,
};
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// A connected stream socket. Belongs to the thread that made it.
#[derive(Debug)]
pub(crate) struct Socket {
    // The kernel forgets a descriptor's registration when it is closed, so the order of these two does not matter.
    descriptor: OwnedFd,
    registration: Registration,
}

impl Socket {
    /// Takes a connected socket that does not block.
    ///
    /// # Errors
    /// Those of `epoll_ctl`.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Socket> {
        Socket::registered(descriptor, Ready::WRITE)
    }

    fn registered(descriptor: OwnedFd, ready: Ready) -> io::Result<Socket> {
        Ok(Socket { registration: Registration::new(&descriptor, ready)?, descriptor })
    }

    /// Connects to an address over TCP, from `source` if there is one.
    ///
    /// # Errors
    /// Those of `socket` and `connect`; [`Unbound`] where the source address can't be had.
    pub(crate) async fn connect(address: SocketAddr, keepalive: bool, source: Option<Source>) -> io::Result<Socket> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let descriptor = net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
        sockopt::set_tcp_nodelay(&descriptor, true)?;
        if keepalive {
            sockopt::set_socket_keepalive(&descriptor, true)?;
        }
        if let Some(source) = source {
            bind(&descriptor, source)?;
        }
        if begin_to_connect(&descriptor, &address)? {
            return Socket::new(descriptor);
        }
        let socket = Socket::registered(descriptor, Ready::NOTHING)?;
        poll_fn(|cx| socket.registration.poll_ready(Ready::WRITE, cx)).await;
        if socket.registration.may_be(Ready::ERROR) {
            sockopt::socket_error(&socket.descriptor)??;
        }
        Ok(socket)
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// Those of `socket` and `connect`; `EAGAIN` where the listener's queue is full.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Socket> {
        let descriptor = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        net::connect(&descriptor, &SocketAddrUnix::new(path)?)?;
        Socket::new(descriptor)
    }

    /// Whether it is idle: open, and nothing has arrived on it. Costs a call only where something may have.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        if !self.registration.may_be(Ready::READ) {
            return true;
        }
        let mut byte = [0];
        matches!(net::recv(&self.descriptor, &mut byte, RecvFlags::PEEK), Err(Errno::AGAIN))
    }

    /// What the kernel knows of the connection.
    pub(crate) fn tcp_info(&self) -> Option<TcpInfo> {
        tcp_info::of(&self.descriptor)
    }

    /// Makes its end a reset, after which the kernel forgets what it still had to send. Where it can't, it ends as others do.
    pub(crate) fn reset_at_end(&self) {
        let _ = sockopt::set_socket_linger(&self.descriptor, Some(Duration::ZERO));
    }

    /// Lets the kernel gather small writes. Where it can't, they go out as they are.
    pub(crate) fn delay(&self) {
        let _ = sockopt::set_tcp_nodelay(&self.descriptor, false);
    }

    /// Its place in the reactor.
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Reads once. No bytes are the end of the stream.
    #[inline]
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let receive = |socket: BorrowedFd<'_>| net::recv(socket, &mut *buffer, RecvFlags::empty());
        let (_, length) = ready!(self.poll(Ready::READ, cx, receive))?;
        if length < buffer.len() {
            self.registration.was_short();
        }
        Poll::Ready(Ok(length))
    }

    /// Waits for something to read, and looks at it without taking it. No bytes are the end of the stream.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_peek(cx, buffer)).await
    }

    /// Looks at what there is to read, without taking it. No bytes are the end of the stream.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let (_, length) =
            ready!(self.poll(Ready::READ, cx, |socket| net::recv(socket, &mut *buffer, RecvFlags::PEEK)))?;
        Poll::Ready(Ok(length))
    }

    /// Reads so many bytes, which have been looked at, and drops them.
    pub(crate) async fn skip(&self, mut length: usize) -> io::Result<()> {
        let mut bytes = [0; 512];
        while length > 0 {
            let part = length.min(bytes.len());
            match poll_fn(|cx| self.poll_receive(cx, &mut bytes[..part])).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length -= read,
            }
        }
        Ok(())
    }

    /// Reads once if that can be done at once; nobody is woken otherwise.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match net::recv(&self.descriptor, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => Ok(length),
            Err(error) => {
                if error == Errno::AGAIN {
                    self.registration.is_spent(Ready::READ);
                }
                Err(error.into())
            }
        }
    }

    /// Writes the last bytes before this side of the connection ends, which go out in one segment with its FIN.
    pub(crate) fn poll_send_last(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        const HELD: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::MORE);
        self.poll_send(cx, bytes.len(), |socket| net::send(socket, bytes, HELD))
    }

    /// Writes once if that can be done at once; nobody is woken otherwise.
    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(net::send(&self.descriptor, bytes, SendFlags::NOSIGNAL)?)
    }

    /// Calls `call` until it would block, and keeps the book of readiness.
    #[inline]
    pub(super) fn poll<T>(
        &self,
        ready: Ready,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.registration.poll_ready(ready, cx));
            match call(self.descriptor.as_fd()) {
                Err(Errno::AGAIN) => self.registration.is_spent(ready),
                Err(Errno::INTR) => {}
                result => return Poll::Ready(result.map_err(io::Error::from)),
            }
        }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        send: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.poll(Ready::WRITE, cx, send))?;
        if sent < length {
            self.registration.is_spent(Ready::WRITE);
        }
        Poll::Ready(Ok(sent))
    }
}

/// A source address can't be had.
#[derive(Debug)]
pub(crate) struct Unbound {
    /// What failed, as nginx's log says it.
    pub(crate) call: String,
    /// Why.
    pub(crate) error: io::Error,
}

impl fmt::Display for Unbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.call)
    }
}

impl Error for Unbound {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Chooses where a connection comes from. Without a port of its own it gets one when it connects, so that as many connections
/// per server are possible as there are ports, not as many in all.
fn bind(descriptor: &OwnedFd, Source { address, transparent }: Source) -> io::Result<()> {
    let unbound = |call: &str, error: io::Error| io::Error::other(Unbound { call: call.to_owned(), error });
    if transparent {
        setsockopt(descriptor, IpTransparent, &true)
            .map_err(|error| unbound("setsockopt(IP_TRANSPARENT)", error.into()))?;
    }
    if address.port() == 0 {
        // A kernel without the option chooses the port now; that works, only not for so many.
        let _ = setsockopt(descriptor, IpBindAddressNoPort, &true);
    }
    let shown = if address.port() == 0 { address.ip().to_string() } else { address.to_string() };
    net::bind(descriptor, &address).map_err(|error| unbound(&format!("bind({shown})"), error.into()))
}

/// Connects, and says whether that is done already. A server on this machine has answered before the first call returns, though
/// that says `EINPROGRESS` all the same; asked again, it saves the way through the reactor.
fn begin_to_connect(descriptor: &OwnedFd, address: &SocketAddr) -> io::Result<bool> {
    match net::connect(descriptor, address) {
        Err(Errno::INPROGRESS) => {}
        result => return result.map(|()| true).map_err(io::Error::from),
    }
    match net::connect(descriptor, address) {
        Ok(()) | Err(Errno::ISCONN) => Ok(true),
        Err(Errno::ALREADY | Errno::INPROGRESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// How all sockets are made.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes.len(), |socket| net::send(socket, bytes, SendFlags::NOSIGNAL))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.poll_send(cx, length, |socket| {
            net::sendmsg(socket, parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(net::shutdown(&self.descriptor, Shutdown::Write).map_err(io::Error::from))
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Acceptor {
    descriptor: OwnedFd,
    registration: Registration,
    /// Its own address, where it has just one; each connection to a wildcard address is asked for its own.
    address: Option<SocketAddr>,
}

/// An accepted connection and, over TCP, its two addresses: the client's and ours.
pub(crate) type Accepted = (Socket, Option<(SocketAddr, SocketAddr)>);

impl Acceptor {
    /// Takes a listening socket.
    ///
    /// # Errors
    /// Those of `fcntl` and `epoll_ctl`.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Acceptor> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        let registration = Registration::new(&descriptor, Ready::NOTHING)?;
        let address = SocketAddr::try_from(net::getsockname(&descriptor)?).ok();
        let address = address.filter(|address| !address.ip().is_unspecified());
        Ok(Acceptor { descriptor, registration, address })
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// Those of `accept4`, of `getsockname` and of `epoll_ctl`.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let (descriptor, client) = poll_fn(|cx| self.poll_accept(cx)).await?;
        let client = client.and_then(|client| SocketAddr::try_from(client).ok());
        let addresses = match (client, self.address) {
            (Some(client), Some(ours)) => Some((client, ours)),
            (Some(client), None) => Some((client, SocketAddr::try_from(net::getsockname(&descriptor)?)?)),
            (None, _) => None,
        };
        Ok((Socket::new(descriptor)?, addresses))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, Option<net::SocketAddrAny>)>> {
        loop {
            ready!(self.registration.poll_ready(Ready::READ, cx));
            match net::acceptfrom_with(&self.descriptor, FLAGS) {
                Err(Errno::AGAIN) => self.registration.is_spent(Ready::READ),
                Err(Errno::INTR) => {}
                result => return Poll::Ready(result.map_err(io::Error::from)),
            }
        }
    }
}
