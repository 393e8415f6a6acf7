//! WebSockets that are streams of HTTP/2 connections (RFC 8441).

use super::OPEN_TIMEOUT;
use super::client::connect;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use std::net::SocketAddr;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::timeout;

/// How many streams a connection has.
const STREAMS: usize = 100;

/// Open WebSockets; their connections end with them.
pub(super) struct Streams {
    _open: Vec<(SendStream<Bytes>, RecvStream)>,
    connections: Vec<AbortHandle>,
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.connections.iter().for_each(AbortHandle::abort);
    }
}

/// Opens so many WebSockets.
pub(super) async fn websockets(address: SocketAddr, count: usize) -> Result<Streams> {
    let mut streams = Streams { _open: Vec::with_capacity(count), connections: Vec::new() };
    let all = async {
        let mut left = count;
        while left > 0 {
            let (mut send, connection) = client::handshake(connect(address).await?).await?;
            // Its end is its streams' end, which nobody waits for.
            streams.connections.push(tokio::spawn(async { drop(connection.await) }).abort_handle());
            let here = left.min(STREAMS);
            for _ in 0..here {
                streams._open.push(websocket(&mut send).await?);
            }
            left -= here;
        }
        Ok(())
    };
    let opened: Result<()> = timeout(OPEN_TIMEOUT, all).await.context("not all WebSockets opened")?;
    opened.map(|()| streams)
}

async fn websocket(send: &mut SendRequest<Bytes>) -> Result<(SendStream<Bytes>, RecvStream)> {
    while !send.is_extended_connect_protocol_enabled() {
        // The settings that say so are on their way.
        yield_now().await;
    }
    let mut request = Request::builder().method(Method::CONNECT).uri("http://localhost/ws");
    request = request.header("sec-websocket-version", "13").extension(Protocol::from_static("websocket"));
    std::future::poll_fn(|cx| send.poll_ready(cx)).await?;
    let (response, stream) = send.send_request(request.body(())?, false)?;
    let response = response.await?;
    ensure!(response.status() == 200, "the handshake was refused: {}", response.status());
    Ok((stream, response.into_body()))
}
