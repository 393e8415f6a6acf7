//! A client's side of a connection.

use super::OPEN_TIMEOUT;
use anyhow::{Context, Result, bail, ensure};
use std::future::Future;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a browser's handshake amounts to.
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\r\n";

/// How many handshakes are under way at the same time: less than any proxy's backlog.
const HANDSHAKES_AT_ONCE: usize = 64;

/// Opens so many WebSockets.
pub(super) async fn websockets(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    open_all(count, move || websocket(address)).await
}

/// Opens so many by `open`, some at a time.
pub(super) async fn open_all<T, F>(count: usize, open: impl Fn() -> F + Clone + Send + 'static) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let mut openers: JoinSet<Result<Vec<T>>> = JoinSet::new();
    for nth in 0..HANDSHAKES_AT_ONCE {
        let one = open.clone();
        openers.spawn(async move {
            let mut open = Vec::new();
            for _ in (nth..count).step_by(HANDSHAKES_AT_ONCE) {
                open.push(one().await?);
            }
            Ok(open)
        });
    }
    let all = async {
        let mut open = Vec::with_capacity(count);
        while let Some(opened) = openers.join_next().await {
            open.append(&mut opened??);
        }
        Ok(open)
    };
    match tokio::time::timeout(OPEN_TIMEOUT, all).await {
        Ok(open) => open,
        Err(_) => bail!("not all {count} WebSockets opened in {OPEN_TIMEOUT:?}"),
    }
}

/// A WebSocket that has just opened.
pub(super) async fn websocket(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(address).await?;
    shake_hands(&mut stream).await?;
    Ok(stream)
}

/// Makes a WebSocket of a connection.
pub(super) async fn shake_hands(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    stream.write_all(HANDSHAKE).await?;
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "the handshake was not answered");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was refused: {}", String::from_utf8_lossy(&head));
    Ok(())
}

/// A connection that has just opened.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("could not connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
