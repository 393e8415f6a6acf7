//! Loads in a closed loop: each connection has one message, request or handshake under way, as fast as the answers come.

use super::client::{connect, websocket, websockets};
use super::{Load, WARM_UP, secure};
use crate::bench::peer::Running;
use crate::bench::sample::Sample;
use crate::bench::{backend, big, frame};
use anyhow::{Context, Result, ensure};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A small request.
const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

/// Opens the load's connections, lets them run warm, and counts answers for the length of `window`.
pub(super) async fn measure(load: &Load, peer: &Running, window: Duration) -> Result<Sample> {
    let answers = Arc::new(AtomicU64::new(0));
    let mut connections = start(load, peer, &answers).await?;
    still_run(&mut connections, WARM_UP).await?;
    let (begun, cpu_before, before) = (Instant::now(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    still_run(&mut connections, window).await?;
    let (elapsed, cpu_after, after) = (begun.elapsed(), peer.cpu_time()?, answers.load(Ordering::Relaxed));
    connections.shutdown().await;
    ensure!(after > before, "no answer in {elapsed:?}");
    Ok(Sample {
        sockets: load.connections(),
        answers: after - before,
        cpu: cpu_after.saturating_sub(cpu_before),
        elapsed,
        ..Sample::default()
    })
}

/// Exchanges a known number of messages: each of the sockets sends `messages`, one after the other. They stay open.
pub(in crate::bench) async fn exchange(
    sockets: Vec<TcpStream>,
    messages: u64,
    message_bytes: usize,
) -> Result<Vec<TcpStream>> {
    let message = Arc::new(Message::new(message_bytes));
    let mut connections: JoinSet<Result<TcpStream>> = JoinSet::new();
    for mut stream in sockets {
        let message = Arc::clone(&message);
        connections.spawn(async move {
            let mut received = vec![0; message.echo.len()];
            for _ in 0..messages {
                round_trip(&mut stream, &message, &mut received).await?;
            }
            Ok(stream)
        });
    }
    let mut open = Vec::new();
    while let Some(ended) = connections.join_next().await {
        open.push(ended??);
    }
    Ok(open)
}

async fn start(load: &Load, peer: &Running, answers: &Arc<AtomicU64>) -> Result<JoinSet<Result<()>>> {
    let (address, mut connections) = (peer.address, JoinSet::new());
    match *load {
        Load::Echo { sockets, message_bytes } => {
            let message = Arc::new(Message::new(message_bytes));
            for stream in websockets(address, sockets).await? {
                connections.spawn(echo(stream, Arc::clone(&message), Arc::clone(answers)));
            }
        }
        Load::Handshake { at_once } => {
            (0..at_once).for_each(|_| drop(connections.spawn(handshakes(address, Arc::clone(answers)))));
        }
        Load::Http { connections: count } => {
            let plain = || vec![PLAIN.to_vec()];
            (0..count).for_each(|_| drop(connections.spawn(requests(address, plain(), Arc::clone(answers)))));
        }
        Load::HttpBig { connections: count } => {
            let spawn = |nth| drop(connections.spawn(requests(address, big::requests(nth), Arc::clone(answers))));
            (0..count).for_each(spawn);
        }
        Load::TlsEcho { sockets, message_bytes } => {
            let message = Arc::new(Message::new(message_bytes));
            for stream in secure::Client::new(peer)?.websockets(sockets).await? {
                connections.spawn(echo(stream, Arc::clone(&message), Arc::clone(answers)));
            }
        }
        Load::TlsHandshake { at_once } => {
            let client = secure::Client::new(peer)?;
            (0..at_once).for_each(|_| drop(connections.spawn(secure_handshakes(client.clone(), Arc::clone(answers)))));
        }
        ref other => unreachable!("{other:?} is no closed loop"),
    }
    Ok(connections)
}

/// Waits, and notices a connection that ended: none should.
async fn still_run(connections: &mut JoinSet<Result<()>>, duration: Duration) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(duration) => Ok(()),
        Some(ended) = connections.join_next() => Err(ended?.err().context("a connection ended")?),
    }
}

/// What is sent and what has to come back.
struct Message {
    sent: Vec<u8>,
    echo: Vec<u8>,
}

impl Message {
    fn new(bytes: usize) -> Message {
        let payload: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
        Message { sent: frame::from_client(&payload), echo: frame::from_server(&payload) }
    }
}

/// One WebSocket: one message after the other, for ever.
async fn echo(mut stream: impl Stream, message: Arc<Message>, answers: Arc<AtomicU64>) -> Result<()> {
    let mut received = vec![0; message.echo.len()];
    loop {
        round_trip(&mut stream, &message, &mut received).await?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a message, waits for its echo, and compares it.
async fn round_trip(stream: &mut impl Stream, message: &Message, received: &mut [u8]) -> Result<()> {
    stream.write_all(&message.sent).await?;
    stream.read_exact(received).await.context("the socket ended")?;
    ensure!(received == message.echo, "the echo differs from what was sent");
    Ok(())
}

/// One client: opens a WebSocket, exchanges Close frames, sees the connection end, and again.
async fn handshakes(address: SocketAddr, answers: Arc<AtomicU64>) -> Result<()> {
    loop {
        close(websocket(address).await?).await?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// The same over TLS.
async fn secure_handshakes(client: secure::Client, answers: Arc<AtomicU64>) -> Result<()> {
    loop {
        close(client.websocket().await?).await?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Exchanges Close frames and sees the connection end.
async fn close(mut stream: impl Stream) -> Result<()> {
    let mut received = Vec::with_capacity(64);
    stream.write_all(&frame::CLOSE).await?;
    loop {
        match stream.read_buf(&mut received).await {
            Ok(0) => break,
            Ok(_) => {}
            // Not all proxies say goodbye in TLS' own words.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(received == frame::SERVERS_CLOSE, "no Close came back, but {received:?}");
    Ok(())
}

/// What WebSockets are made of.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One keep-alive connection: sends a request, waits for the answer's end, and then the next of them, for ever.
async fn requests(address: SocketAddr, asked: Vec<Vec<u8>>, answers: Arc<AtomicU64>) -> Result<()> {
    let mut stream = connect(address).await?;
    let mut received = Vec::with_capacity(4096);
    for request in asked.iter().cycle() {
        stream.write_all(request).await?;
        received.clear();
        while !received.ends_with(backend::BODY) {
            ensure!(stream.read_buf(&mut received).await? > 0, "the connection ended");
        }
        ensure!(received.starts_with(b"HTTP/1.1 200 "), "refused: {}", String::from_utf8_lossy(&received));
        answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
