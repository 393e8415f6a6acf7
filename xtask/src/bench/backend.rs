//! The server behind the proxies: echoes WebSocket messages and answers plain requests, with as little work as it can.

use super::frame;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;

/// The body of every answer to a plain request. Nothing else in an answer ends like this.
pub(super) const BODY: &[u8] = b"thirty-two bytes, as messages...";

/// How much a connection reads at once in the beginning; a large message makes it more.
const READ_BYTES: usize = 2 << 10;

/// On how many addresses it listens. A proxy that starts gets the next one, so that the ports of those that were stopped
/// a moment ago (TIME_WAIT) are not missing.
const ADDRESSES: u8 = 16;

/// Starts the backend on the generator's own thread: a load that switches threads less leaves more for the proxy to do.
pub(super) async fn start() -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for last in 1..=ADDRESSES {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).await?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(serve(listener));
    }
    Ok(addresses)
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream));
    }
}

/// Serves a connection until it ends, however that is.
async fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        while let Some(request) = read_request(&input)? {
            input.drain(..request.length);
            match request.key {
                Some(key) => return echo(stream, input, &key).await,
                None => stream.write_all(&plain_answer()).await?,
            }
        }
    }
}

/// What the backend wants to know of a request.
struct Request {
    length: usize,
    key: Option<Vec<u8>>,
}

fn read_request(input: &[u8]) -> io::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(input).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let key = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
    Ok(Some(Request { length, key: key.map(|header| header.value.to_vec()) }))
}

fn plain_answer() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", BODY.len());
    [head.as_bytes(), BODY].concat()
}

/// Echoes whole messages, and ends the connection after a Close, as a server should be the first to do.
async fn echo(mut stream: TcpStream, mut input: Vec<u8>, key: &[u8]) -> io::Result<()> {
    let accept = derive_accept_key(key);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let mut output = head.into_bytes();
    loop {
        let done = frame::echo(&input, &mut output);
        input.drain(..done);
        stream.write_all(&output).await?;
        if output.ends_with(&frame::SERVERS_CLOSE) && output.len() == frame::SERVERS_CLOSE.len() {
            return Ok(());
        }
        output.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}
