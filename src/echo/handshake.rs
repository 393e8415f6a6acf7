//! What comes before the first frame: the request is read, and answered with 101, a page, or a refusal.

use super::Manner;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

/// The longest request head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How many headers a request may have.
const HEADERS_MAX: usize = 100;

/// How a request was answered.
pub(super) enum Greeted {
    /// With 101: the connection is a WebSocket for `path`, and the client sent `read_ahead` already.
    WebSocket { path: String, read_ahead: Vec<u8> },
    /// With a page or a refusal: the connection is done.
    Done,
}

/// What is read of a request before anything is decided.
struct Head {
    method: String,
    path: String,
    wants_upgrade: bool,
    length: usize,
}

/// Reads one request and answers it.
pub(super) async fn greet(stream: &mut TcpStream, manner: &Manner) -> io::Result<Greeted> {
    let mut bytes = Vec::with_capacity(2048);
    let head = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Greeted::Done);
        }
        match parse(&bytes) {
            Ok(Some(head)) => break head,
            Ok(None) if bytes.len() < HEAD_BYTES_MAX => {}
            Ok(None) => {
                return answer(stream, "431 Request Header Fields Too Large", "text/plain", "too large\n").await;
            }
            Err(_) => return answer(stream, "400 Bad Request", "text/plain", "bad request\n").await,
        }
    };
    match head.wants_upgrade {
        true => upgrade(stream, manner, &bytes, head).await,
        false => show_page(stream, manner, &head).await,
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
    let target = request.path.unwrap_or_default();
    Ok(Some(Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        wants_upgrade: request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("upgrade")),
        length,
    }))
}

/// Answers a handshake (RFC 6455 section 4.2).
async fn upgrade(stream: &mut TcpStream, manner: &Manner, bytes: &[u8], head: Head) -> io::Result<Greeted> {
    let Some(response) = accept(manner, bytes) else {
        return answer(stream, "400 Bad Request", "text/plain", "this is no valid WebSocket handshake\n").await;
    };
    stream.write_all(&response).await?;
    Ok(Greeted::WebSocket { path: head.path, read_ahead: bytes[head.length..].to_vec() })
}

/// The bytes of the 101, unless the handshake is none.
fn accept(manner: &Manner, bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, request) = Request::try_parse(bytes).ok()??;
    let mut response = create_response(&request).ok()?;
    if let Some(chosen) = choose(manner, &request) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(chosen).ok()?);
    }
    let mut written = Vec::new();
    write_response(&mut written, &response).ok()?;
    Some(written)
}

/// The first subprotocol that the client offers and that this server speaks.
fn choose<'a>(manner: &'a Manner, request: &Request) -> Option<&'a str> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut names =
        offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim);
    names.find_map(|name| manner.subprotocols.iter().find(|spoken| *spoken == name)).map(String::as_str)
}

async fn show_page(stream: &mut TcpStream, manner: &Manner, head: &Head) -> io::Result<Greeted> {
    match (&manner.page, head.method.as_str(), head.path.as_str()) {
        (Some(page), "GET", "/") => answer(stream, "200 OK", "text/html; charset=utf-8", page).await,
        (Some(_), "GET", _) => answer(stream, "404 Not Found", "text/plain", "there is nothing here\n").await,
        (Some(_), _, _) => answer(stream, "405 Method Not Allowed", "text/plain", "only GET\n").await,
        (None, _, _) => answer(stream, "426 Upgrade Required", "text/plain", "Upgrade Required\n").await,
    }
}

async fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<Greeted> {
    let upgrade = if status.starts_with("426") { "Upgrade: websocket\r\n" } else { "" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{upgrade}Content-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(Greeted::Done)
}
