//! One question to a responder: `GET` with the question in the URI (RFC 6960 appendix A.1), as nginx asks.

use super::{Responder, Staple};
use crate::observe::error_log::os_error;
use crate::upstream::discovery::Lookups;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use culvert_engine::http1::{BodyDecoder, ResponseHead, push_line, response_body};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long each step with a responder may take: nginx's time.
const WAIT: Duration = Duration::from_secs(60);
/// The longest response, its head included.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// Why there is no answer, and who was asked at last.
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) peer: Option<SocketAddr>,
}

impl Failed {
    fn new(why: impl Into<String>) -> Failed {
        Failed { why: why.into(), peer: None }
    }
}

/// Asks each address of the responder until one answers. Returns what it says, and its address.
pub(super) async fn ask(staple: &Staple, question: &[u8], lookups: &Lookups) -> Result<(Vec<u8>, SocketAddr), Failed> {
    let addresses = resolve(staple, lookups).await.map_err(Failed::new)?;
    let request = compose(&staple.responder, question);
    let mut last = Failed::new("no address of the OCSP responder is known");
    for peer in addresses {
        match timeout(WAIT, talk(peer, &request)).await {
            Ok(Ok(body)) => return Ok((body, peer)),
            Ok(Err(why)) => last = Failed { why, peer: Some(peer) },
            Err(_) => {
                last = Failed { why: "OCSP responder timed out (110: Connection timed out)".into(), peer: Some(peer) }
            }
        }
    }
    Err(last)
}

async fn resolve(staple: &Staple, lookups: &Lookups) -> Result<Vec<SocketAddr>, String> {
    let responder = &staple.responder;
    let Some((resolver, wait)) = staple.resolver.as_ref().filter(|_| responder.addresses.is_empty()) else {
        return Ok(responder.addresses.clone());
    };
    let found = lookups.resolve(resolver, *wait, &responder.host).await;
    let found =
        found.map_err(|trouble| format!("{} could not be resolved ({})", responder.host, trouble.describe()))?;
    Ok(found.iter().map(|address| SocketAddr::new(*address, responder.port)).collect())
}

fn compose(responder: &Responder, question: &[u8]) -> Vec<u8> {
    let slash = if responder.uri.ends_with('/') { "" } else { "/" };
    let question = STANDARD.encode(question).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let mut request = format!("GET {}{slash}{question} HTTP/1.0\r\n", responder.uri).into_bytes();
    let host = match responder.port {
        80 => responder.host.clone(),
        port => format!("{}:{port}", responder.host),
    };
    push_line(&mut request, b"Host", host.as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

async fn talk(peer: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |call: &'static str| move |error: std::io::Error| format!("{call}() failed ({})", os_error(&error));
    let mut stream = TcpStream::connect(peer).await.map_err(failed("connect"))?;
    stream.write_all(request).await.map_err(failed("send"))?;
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.map_err(failed("recv"))?;
        if bytes.len() > RESPONSE_BYTES_MAX {
            return Err("OCSP responder sent invalid response: it is too long".into());
        }
        if let Some(body) = body_of(&bytes, read == 0)? {
            return Ok(body);
        }
        if read == 0 {
            return Err("OCSP responder prematurely closed connection".into());
        }
    }
}

/// The body of a response that is whole; `None` where more has to come.
fn body_of(bytes: &[u8], is_over: bool) -> Result<Option<Vec<u8>>, String> {
    let invalid = || "OCSP responder sent invalid response".to_owned();
    let Some((head, length)) = ResponseHead::parse(bytes, RESPONSE_BYTES_MAX).map_err(|_| invalid())? else {
        return Ok(None);
    };
    if head.status != 200 {
        return Err(format!("OCSP responder answered with status {}", head.status));
    }
    let kind = head.headers.first("content-type").unwrap_or_default();
    if !kind.eq_ignore_ascii_case(b"application/ocsp-response") {
        let kind = String::from_utf8_lossy(kind);
        return Err(format!("OCSP responder sent invalid \"Content-Type\" header: \"{kind}\""));
    }
    let delimited = response_body(&head.headers, head.minor, head.status, false).map_err(|_| invalid())?;
    let (mut decoder, mut body) = (BodyDecoder::new(delimited), Vec::new());
    let taken = |piece: &[u8]| body.extend_from_slice(piece);
    decoder.decode(&bytes[length..], RESPONSE_BYTES_MAX, taken).map_err(|_| invalid())?;
    let is_whole = decoder.is_done() || (is_over && decoder.ends_with_connection());
    Ok(is_whole.then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_by_its_length_or_by_the_end_of_the_connection() {
        let head = "HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n";
        let sized = format!("{head}Content-Length: 2\r\n\r\nab");
        assert_eq!(body_of(sized.as_bytes(), false), Ok(Some(b"ab".to_vec())));
        assert_eq!(body_of(&sized.as_bytes()[..sized.len() - 1], true), Ok(None));
        let closed = format!("{head}\r\nab");
        assert_eq!(body_of(closed.as_bytes(), false), Ok(None));
        assert_eq!(body_of(closed.as_bytes(), true), Ok(Some(b"ab".to_vec())));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let says = |text: &str| body_of(text.as_bytes(), true).expect_err("no answer");
        assert_eq!(says("nonsense\r\n\r\n"), "OCSP responder sent invalid response");
        assert_eq!(says("HTTP/1.1 404 Not Found\r\n\r\n"), "OCSP responder answered with status 404");
        let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        assert_eq!(says(page), "OCSP responder sent invalid \"Content-Type\" header: \"text/html\"");
    }

    #[test]
    fn a_question_is_part_of_the_uri() {
        let responder = Responder { host: "x".into(), port: 81, uri: "/a".into(), addresses: Vec::new() };
        let text = String::from_utf8(compose(&responder, &[0xfb, 0xff, 0xfe, 1])).expect("text");
        assert_eq!(text, "GET /a/%2B%2F%2F%2BAQ%3D%3D HTTP/1.0\r\nHost: x:81\r\n\r\n");
    }
}
