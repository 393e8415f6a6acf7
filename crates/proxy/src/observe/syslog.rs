//! Messages to a syslog server, in the form of RFC 3164: a datagram each.

use super::clock;
use culvert_conf::config::{Level, Syslog, SyslogServer};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The way to a server. The socket is made when the first message is sent, and anew when it has failed.
#[derive(Debug)]
pub(super) struct Channel {
    syslog: Arc<Syslog>,
    server: Server,
    hostname: String,
    socket: Mutex<Option<Socket>>,
}

#[derive(Debug)]
enum Server {
    Inet(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug)]
enum Socket {
    Inet(UdpSocket),
    Unix(UnixDatagram),
}

impl Channel {
    /// Resolves the server's name. The error is nginx's message.
    pub(super) fn new(syslog: &Arc<Syslog>) -> Result<Channel, String> {
        let server = match &syslog.server {
            SyslogServer::Unix(path) => Server::Unix(path.clone()),
            SyslogServer::Inet(host, port) => {
                let found = (host.as_str(), *port).to_socket_addrs().ok().and_then(|mut found| found.next());
                let lost = || format!("[emerg] host not found in syslog server \"{host}\" in {}", syslog.place);
                Server::Inet(found.ok_or_else(lost)?)
            }
        };
        let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        Ok(Channel { syslog: syslog.clone(), server, hostname, socket: Mutex::default() })
    }

    /// The severity of access log lines.
    pub(super) fn severity(&self) -> Level {
        self.syslog.severity
    }

    /// Sends one line, without its end. Nobody waits: what a full socket does not take is an error.
    pub(super) fn send(&self, severity: Level, line: &[u8]) -> io::Result<()> {
        let mut message = self.head(severity);
        message.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*socket {
            match open.send(&message) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                // Either the last message was refused, or the server has another socket by now.
                Err(_) => *socket = None,
            }
        }
        let open = self.server.connect()?;
        let sent = open.send(&message);
        *socket = Some(open);
        sent
    }

    /// `<190>Nov 22 07:00:00 host tag: `, of which the number is facility and severity.
    fn head(&self, severity: Level) -> Vec<u8> {
        let Syslog { facility, tag, nohostname, .. } = &*self.syslog;
        let priority = u32::from(*facility) * 8 + severity as u32;
        let mut head = format!("<{priority}>").into_bytes();
        clock::syslog_time(&mut head);
        if !nohostname {
            head.push(b' ');
            head.extend_from_slice(self.hostname.as_bytes());
        }
        head.extend_from_slice(format!(" {tag}: ").as_bytes());
        head
    }
}

impl Server {
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Server::Inet(address) => {
                let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Inet(socket))
            }
            Server::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Socket::Inet(socket) => socket.send(message),
            Socket::Unix(socket) => socket.send(message),
        }
        .map(drop)
    }
}
