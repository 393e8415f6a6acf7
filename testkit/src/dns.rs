//! A scripted name server: it says what the test tells it, in UDP and TCP, and remembers what it was asked. Names that it was
//! told nothing about do not exist.

use crate::Deadline;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the threads of a server wait before they look whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A record's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// `A`.
    A(Ipv4Addr),
    /// `AAAA`.
    Aaaa(Ipv6Addr),
    /// `CNAME`: the name's true name.
    Alias(String),
    /// `SRV`.
    Service {
        /// The lowest first.
        priority: u16,
        /// The share.
        weight: u16,
        /// The port.
        port: u16,
        /// The host's name.
        target: String,
    },
}

/// How a question is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should be.
    #[default]
    Honest,
    /// With this response code and nothing else.
    Fails(u8),
    /// Not at all.
    Silent,
    /// Cut by UDP, as if it did not fit into a datagram; whole by TCP.
    Cut,
    /// With somebody else's number first and the addresses that are given here; then honestly.
    WrongId(Vec<Data>),
    /// To another question first, with the data that are given here; then honestly.
    OtherQuestion(Vec<Data>),
    /// With bytes that are no message.
    Garbage,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, in lower case, without its last dot.
    pub name: String,
    /// The record type's number.
    pub kind: u16,
    /// Whether it came by TCP.
    pub tcp: bool,
}

#[derive(Default)]
struct Script {
    records: HashMap<String, (Vec<(String, Data)>, u32)>,
    manners: HashMap<String, Manner>,
    asked: Vec<Question>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    stopping: AtomicBool,
}

/// A name server. It ends when it is dropped.
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Listens on both transports of `address`.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).expect("the UDP port is the test's");
        let tcp = TcpListener::bind(address).expect("the TCP port is the test's");
        udp.set_read_timeout(Some(LOOK_AGAIN)).expect("a time-out can be set");
        tcp.set_nonblocking(true).expect("a listener can be non-blocking");
        let shared = Arc::new(Shared::default());
        let (one, other) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &one)),
            std::thread::spawn(move || serve_tcp(&tcp, &other)),
        ];
        NameServer { address, shared, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these records, for `ttl` seconds.
    pub fn says(&self, name: &str, ttl: u32, data: impl IntoIterator<Item = Data>) {
        let records = data.into_iter().map(|data| (name.to_owned(), data)).collect();
        self.says_records(name, ttl, records);
    }

    /// From now on questions for `name` are answered with these records, whoever's they are.
    pub fn says_records(&self, name: &str, ttl: u32, records: Vec<(String, Data)>) {
        self.shared.lock().records.insert(name.to_owned(), (records, ttl));
    }

    /// From now on `name` has these addresses, for `ttl` seconds.
    pub fn says_addresses(&self, name: &str, ttl: u32, addresses: impl IntoIterator<Item = IpAddr>) {
        self.says(name, ttl, addresses.into_iter().map(Data::from));
    }

    /// From now on there is no `name`.
    pub fn forgets(&self, name: &str) {
        self.shared.lock().records.remove(name);
    }

    /// How questions for `name` are answered from now on.
    pub fn behaves(&self, name: &str, manner: Manner) {
        self.shared.lock().manners.insert(name.to_owned(), manner);
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Question> {
        self.shared.lock().asked.clone()
    }

    /// How often `name` was asked for.
    pub fn times_asked(&self, name: &str) -> usize {
        self.asked().iter().filter(|question| question.name == name).count()
    }

    /// Waits until `name` has been asked for `more` times from now on.
    #[track_caller]
    pub fn is_asked_for(&self, name: &str, more: usize) {
        let wanted = self.times_asked(name) + more;
        let seen = || (self.times_asked(name) >= wanted).then_some(());
        Deadline::default().until(&format!("{more} more questions for {name}"), seen);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let panicked = self.threads.drain(..).map(JoinHandle::join).filter(Result::is_err).count();
        if !std::thread::panicking() {
            assert_eq!(panicked, 0, "threads of the name server panicked");
        }
    }
}

impl From<IpAddr> for Data {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Data::A(address),
            IpAddr::V6(address) => Data::Aaaa(address),
        }
    }
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Data::A(_) => 1,
            Data::Alias(_) => 5,
            Data::Aaaa(_) => 28,
            Data::Service { .. } => 33,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Data::A(address) => address.octets().to_vec(),
            Data::Aaaa(address) => address.octets().to_vec(),
            Data::Alias(target) => encode_name(target),
            Data::Service { priority, weight, port, target } => {
                let mut out: Vec<u8> =
                    [priority, weight, port].iter().flat_map(|number| number.to_be_bytes()).collect();
                out.extend(encode_name(target));
                out
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("nobody panics while holding it")
    }

    fn is_over(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The messages that answer `query`, in order.
    fn answer(&self, query: &[u8], tcp: bool) -> Vec<Vec<u8>> {
        let Some((id, question, length)) = parse(query, tcp) else { return Vec::new() };
        let mut script = self.lock();
        let manner = script.manners.get(&question.name).cloned().unwrap_or_default();
        let known = script.records.get(&question.name).cloned();
        script.asked.push(question.clone());
        let raw = &query[12..length];
        let of_kind = |records: &[(String, Data)]| -> Vec<(String, Data)> {
            let fits = |data: &Data| data.kind() == question.kind || matches!(data, Data::Alias(_));
            records.iter().filter(|(_, data)| fits(data)).cloned().collect()
        };
        let honest = match &known {
            Some((records, ttl)) => message(id, 0, 0, raw, &of_kind(records), *ttl),
            None => message(id, 0, 3, raw, &[], 0),
        };
        let lie = |data: Vec<Data>| -> Vec<(String, Data)> {
            of_kind(&data.into_iter().map(|data| (question.name.clone(), data)).collect::<Vec<_>>())
        };
        match manner {
            Manner::Honest => vec![honest],
            Manner::Fails(code) => vec![message(id, 0, code, raw, &[], 0)],
            Manner::Silent => Vec::new(),
            Manner::Cut if !tcp => vec![message(id, TRUNCATED, 0, raw, &[], 0)],
            Manner::Cut => vec![honest],
            Manner::WrongId(data) => vec![message(id.wrapping_add(1), 0, 0, raw, &lie(data), 60), honest],
            Manner::OtherQuestion(data) => {
                let mut other = encode_name("another.test");
                other.extend_from_slice(&raw[raw.len() - 4..]);
                vec![message(id, 0, 0, &other, &lie(data), 60), honest]
            }
            Manner::Garbage => vec![[&id.to_be_bytes()[..], &[0xff; 7]].concat()],
        }
    }
}

/// The flag TC of RFC 1035 section 4.1.1.
const TRUNCATED: u16 = 0x0200;

/// The question of a query, its number, and where the question ends.
fn parse(query: &[u8], tcp: bool) -> Option<(u16, Question, usize)> {
    let id = u16::from_be_bytes(*query.first_chunk::<2>()?);
    let (mut at, mut name) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(*query.get(at..)?.first_chunk::<2>()?);
    Some((id, Question { name: name.join("."), kind, tcp }, at + 4))
}

fn message(id: u16, flags: u16, code: u8, question: &[u8], records: &[(String, Data)], ttl: u32) -> Vec<u8> {
    // A response of a server that does recursion: QR, RD and RA.
    let flags = 0x8180 | flags | u16::from(code);
    let count = u16::try_from(records.len()).expect("so many records fit");
    let mut out: Vec<u8> = [id, flags, 1, count, 0, 0].iter().flat_map(|number| number.to_be_bytes()).collect();
    out.extend_from_slice(question);
    for (owner, data) in records {
        let encoded = data.encode();
        out.extend(encode_name(owner));
        out.extend(data.kind().to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend(u16::try_from(encoded.len()).expect("data are short").to_be_bytes());
        out.extend(encoded);
    }
    out
}

fn encode_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).expect("labels are short"));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.is_over() {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        for answer in shared.answer(&buffer[..length], false) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut conversations = Vec::new();
    while !shared.is_over() {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = shared.clone();
                conversations.push(std::thread::spawn(move || converse(stream, &shared)));
            }
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
    conversations.into_iter().for_each(|conversation| conversation.join().expect("a conversation does not panic"));
}

fn converse(mut stream: TcpStream, shared: &Shared) {
    stream.set_nonblocking(false).expect("a stream can be blocking");
    stream.set_read_timeout(Some(LOOK_AGAIN)).expect("a time-out can be set");
    let mut unread = Vec::new();
    let mut buffer = [0; 4096];
    while !shared.is_over() {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => unread.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        }
        while let Some(length) = unread.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)))
            && unread.len() >= length + 2
        {
            let query: Vec<u8> = unread.drain(..length + 2).skip(2).collect();
            for answer in shared.answer(&query, true) {
                let length = u16::try_from(answer.len()).expect("a message fits").to_be_bytes();
                if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                    return;
                }
            }
        }
    }
}
