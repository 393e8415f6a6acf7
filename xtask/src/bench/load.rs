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
const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    round_trips: u64,
    cpu: Duration,
    elapsed: Duration,
}

impl Sample {
    /// The proxy's CPU time per round trip, in microseconds.
    pub(super) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.round_trips as f64
    }

    /// Round trips per second.
    pub(super) fn rate(&self) -> f64 {
        self.round_trips as f64 / self.elapsed.as_secs_f64()
    }

    /// How much of one core the proxy used.
    fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6.2} µs  {:7.0} round trips/s  {:3.0} % of a core", self.cost(), self.rate(), self.share() * 100.0)
    }
}

/// Opens the load's connections, lets them run warm, and counts for the length of `window`.
pub(super) async fn drive(load: &Load, peer: &Running, window: Duration) -> Result<Sample> {
    let answers = Arc::new(AtomicU64::new(0));
    let mut connections = open(load, peer.address, &answers).await?;
    still_run(&mut connections, WARM_UP).await?;
    let (begun, cpu_before, before) = (Instant::now(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    still_run(&mut connections, window).await?;
    let (elapsed, cpu_after, after) = (begun.elapsed(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    connections.shutdown().await;
    ensure!(after > before, "no answer in {elapsed:?}");
    Ok(Sample { round_trips: after - before, cpu: cpu_after - cpu_before, elapsed })
}

async fn open(load: &Load, address: SocketAddr, answers: &Arc<AtomicU64>) -> Result<JoinSet<Result<()>>> {
    let count = match load {
        Load::Echo { sockets, .. } => *sockets,
        Load::Http { connections } => *connections,
    };
    let start = Arc::new(Barrier::new(count + 1));
    let mut connections = JoinSet::new();
    for _ in 0..count {
        let (answers, start) = (Arc::clone(answers), Arc::clone(&start));
        match *load {
            Load::Echo { message_bytes, .. } => connections.spawn(echo(address, message_bytes, answers, start)),
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
    let mut stream = connect(address).await?;
    stream.write_all(HANDSHAKE).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "the handshake was not answered");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was refused: {}", String::from_utf8_lossy(&head));
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
