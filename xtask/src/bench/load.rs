//! The generator: connections that each have one message or request under way, and count the answers.

use super::peer::Running;
use super::row::Load;
use super::{backend, frame};
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// How long all connections may take to be there.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the load runs before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// The path that the proxies treat as the WebSocket recipe does, and the one for plain requests.
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const IDLE_HANDSHAKE: &[u8] = b"GET /ws/logged HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\r\n";
const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    /// Of a load with answers.
    RoundTrips { number: u64, cpu: Duration, elapsed: Duration },
    /// Of sockets that say nothing.
    Idle { sockets: usize, bytes: u64 },
}

impl Sample {
    /// The proxy's CPU time per round trip in microseconds, or its memory per socket in kilobytes.
    pub(super) fn cost(&self) -> f64 {
        match self {
            Sample::RoundTrips { number, cpu, .. } => cpu.as_secs_f64() * 1e6 / *number as f64,
            Sample::Idle { sockets, bytes } => *bytes as f64 / 1000.0 / *sockets as f64,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sample::RoundTrips { number, cpu, elapsed } => {
                let rate = *number as f64 / elapsed.as_secs_f64();
                let share = cpu.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
                write!(f, "{:6.2} µs  {rate:7.0} round trips/s  {share:3.0} % of a core", self.cost())
            }
            Sample::Idle { sockets, .. } => write!(f, "{:6.2} KB  for each of {sockets} sockets", self.cost()),
        }
    }
}

/// How many sockets are open before idle ones are counted, so that what a process takes once is not counted with them.
const SOCKETS_BEFORE: usize = 200;

/// Opens the load's connections, lets them run warm, and counts for the length of `window`; or weighs idle ones.
pub(super) async fn drive(load: &Load, peer: &Running, window: Duration) -> Result<Sample> {
    if let Load::Idle { sockets } = *load {
        return weigh(peer, sockets).await;
    }
    let answers = Arc::new(AtomicU64::new(0));
    let mut connections = open(load, peer.address, &answers).await?;
    still_run(&mut connections, WARM_UP).await?;
    let (begun, cpu_before, before) = (Instant::now(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    still_run(&mut connections, window).await?;
    let (elapsed, cpu_after, after) = (begun.elapsed(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    connections.shutdown().await;
    ensure!(after > before, "no answer in {elapsed:?}");
    Ok(Sample::RoundTrips { number: after - before, cpu: cpu_after - cpu_before, elapsed })
}

/// What `sockets` idle WebSockets weigh in the proxy's memory.
async fn weigh(peer: &Running, sockets: usize) -> Result<Sample> {
    let mut open = Vec::with_capacity(SOCKETS_BEFORE + sockets);
    for _ in 0..SOCKETS_BEFORE {
        open.push(handshake(peer.address, IDLE_HANDSHAKE).await?);
    }
    tokio::time::sleep(WARM_UP).await;
    let before = peer.memory()?;
    for _ in 0..sockets {
        open.push(handshake(peer.address, IDLE_HANDSHAKE).await?);
    }
    tokio::time::sleep(WARM_UP).await;
    Ok(Sample::Idle { sockets, bytes: peer.memory()?.saturating_sub(before) })
}

async fn open(load: &Load, address: SocketAddr, answers: &Arc<AtomicU64>) -> Result<JoinSet<Result<()>>> {
    let count = match load {
        Load::Echo { sockets, .. } | Load::Idle { sockets } => *sockets,
        Load::Http { connections } => *connections,
    };
    let start = Arc::new(Barrier::new(count + 1));
    let mut connections = JoinSet::new();
    for _ in 0..count {
        let (answers, start) = (Arc::clone(answers), Arc::clone(&start));
        match *load {
            Load::Echo { message_bytes, .. } => connections.spawn(echo(address, message_bytes, answers, start)),
            Load::Idle { .. } => bail!("idle sockets are weighed, not driven"),
            Load::Http { .. } => connections.spawn(request(address, answers, start)),
        };
    }
    tokio::select! {
        _ = start.wait() => Ok(connections),
        Some(ended) = connections.join_next() => Err(ended?.err().context("a connection ended")?),
        () = tokio::time::sleep(OPEN_TIMEOUT) => bail!("not all {count} connections opened in {OPEN_TIMEOUT:?}"),
    }
}

/// Waits, and notices a connection that ended: none should.
async fn still_run(connections: &mut JoinSet<Result<()>>, duration: Duration) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(duration) => Ok(()),
        Some(ended) = connections.join_next() => Err(ended?.err().context("a connection ended")?),
    }
}

/// One WebSocket: sends a message, waits for its echo, compares it, and again.
async fn echo(address: SocketAddr, message_bytes: usize, answers: Arc<AtomicU64>, start: Arc<Barrier>) -> Result<()> {
    let mut stream = handshake(address, HANDSHAKE).await?;
    let payload: Vec<u8> = (0..message_bytes).map(|index| index as u8).collect();
    let (message, expected) = (frame::from_client(&payload), frame::from_server(&payload));
    let mut received = vec![0; expected.len()];
    start.wait().await;
    loop {
        stream.write_all(&message).await?;
        stream.read_exact(&mut received).await.context("the socket ended")?;
        ensure!(received == expected, "the echo differs from what was sent");
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// A WebSocket that has just opened.
async fn handshake(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut stream = connect(address).await?;
    stream.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "the handshake was not answered");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was refused: {}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// One keep-alive connection: sends a request, waits for the answer's end, and again.
async fn request(address: SocketAddr, answers: Arc<AtomicU64>, start: Arc<Barrier>) -> Result<()> {
    let mut stream = connect(address).await?;
    let mut received = Vec::with_capacity(4096);
    start.wait().await;
    loop {
        stream.write_all(PLAIN).await?;
        received.clear();
        while !received.ends_with(backend::BODY) {
            ensure!(stream.read_buf(&mut received).await? > 0, "the connection ended");
        }
        ensure!(received.starts_with(b"HTTP/1.1 200 "), "refused: {}", String::from_utf8_lossy(&received));
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("could not connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
