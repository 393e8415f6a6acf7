//! Many WebSocket servers behind one gateway: who gets which request, who waits, who stays where, and what happens when
//! servers come and go. The real nginx and real socket.io are the judges where they have an opinion.

mod balancing;
mod chaos;
mod down;
mod peers;
mod queue;
mod rebalance;
mod reloads;
mod socket_io;
mod sticky;

use culvert_testkit::websocket::{Frame, Peer, switching};
use culvert_testkit::{Backend, Client, Conversation, Deadline, Gateway, Place, Program, Response, Signal, World};
use culvert_testkit::{json, world};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a server keeps a WebSocket on which nothing happens: longer than any test.
const SOCKET_LIFE: Duration = Duration::from_secs(120);

/// A server that says its name: as the body of an answer, and in the 101 to a handshake. Its WebSockets send text back and
/// answer a Close.
struct Host {
    name: &'static str,
    place: Place,
    backend: Option<Backend>,
}

impl Host {
    fn new(name: &'static str) -> Host {
        let mut host = Host { name, place: Place::new(), backend: None };
        host.starts();
        host
    }

    fn starts(&mut self) {
        let name = self.name;
        self.backend = Some(Backend::start(self.at(), move |conversation| serve(conversation, name)));
    }

    /// Its connections end, and nobody listens any more.
    fn dies(&mut self) {
        self.backend = None;
    }

    fn at(&self) -> SocketAddr {
        self.place.at(9001)
    }
}

fn hosts<const N: usize>(names: [&'static str; N]) -> [Host; N] {
    names.map(Host::new)
}

fn serve(conversation: &mut Conversation, name: &str) {
    if let Some(wire) = conversation.wire() {
        wire.patience = SOCKET_LIFE;
    }
    while let Some(request) = conversation.request() {
        if request.head.header("upgrade").is_some() {
            if conversation.send(switching(&format!("X-Host: {name}\r\n"))) {
                serve_socket(conversation);
            }
            return;
        }
        if !conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())) {
            return;
        }
    }
}

/// Frames of a client's are masked and, in these tests, short.
fn serve_socket(conversation: &mut Conversation) -> Option<()> {
    loop {
        let head = conversation.read_exact(2)?;
        let mask = conversation.read_exact(4)?;
        let masked = conversation.read_exact(usize::from(head[1] & 0x7F))?;
        let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        match head[0] & 15 {
            8 => {
                conversation.send(Frame::new(8, payload).encode(None));
                return None;
            }
            9 => conversation.send(Frame::new(10, payload).encode(None)),
            1 => conversation.send(Frame::new(1, payload).encode(None)),
            _ => true,
        };
    }
}

/// An upstream of `hosts` with further lines, and a gateway of two workers in front of it.
fn site(hosts: &[&Host], lines: &str) -> String {
    let servers: Vec<String> = hosts.iter().map(|host| host.at().to_string()).collect();
    site_of(&servers, lines)
}

/// The same of servers as they stand in the configuration, parameters and all.
fn site_of(servers: &[String], lines: &str) -> String {
    let servers: String = servers.iter().map(|server| format!("server {server}; ")).collect();
    format!(
        "worker_processes 2;
         http {{
             log_format times '$status $upstream_addr $upstream_queue_time';
             access_log {{dir}}/access.log times;
             upstream app {{ zone app 64k; {lines} {servers} }}
             server {{
                 listen {{address}}:8080;
                 location / {{
                     proxy_pass http://app;
                     proxy_http_version 1.1;
                     proxy_set_header Upgrade $http_upgrade;
                     proxy_set_header Connection upgrade;
                 }}
             }}
         }}"
    )
}

/// Opens a WebSocket and tells whose it is.
#[track_caller]
fn opens(world: &World, extra: &str) -> (Peer, String) {
    let mut peer = Peer::asks(world.at(8080), "/room", extra);
    peer.is_switched();
    let host = peer.header("x-host").expect("the host says its name").to_owned();
    (peer, host)
}

fn lines_with(world: &World, text: &str) -> usize {
    world.place().read("error.log").lines().filter(|line| line.contains(text)).count()
}

/// Loads another configuration, and waits until that has happened.
#[track_caller]
fn reloads(world: &World, config: &str) {
    let before = lines_with(world, "reconfigured");
    world.reload(config);
    Deadline::default().until("the reload", || (lines_with(world, "reconfigured") > before).then_some(()));
}
