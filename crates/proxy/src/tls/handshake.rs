//! The handshake of a connection to a listening address that speaks TLS.

use super::facts::TlsFacts;
use super::server::ServerTls;
use super::sessions::in_session;
use crate::exchange::{ClientFacts, render_for_handshake};
use crate::io::address;
use crate::io::{TlsStream, Transport, scratch};
use crate::lifecycle::{Generation, Shared};
use crate::observe::error_log::os_error;
use crate::observe::metrics::{self, Tally};
use culvert_conf::config::Level;
use rustls::server::{Accepted, Acceptor};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// A connection whose protocol is known.
pub(crate) struct Arrived {
    /// The stream, decrypted.
    pub(crate) io: Transport,
    /// With what TLS adds to them.
    pub(crate) facts: ClientFacts,
}

/// A TLS record of a handshake begins with this byte, or, in the oldest form of a `ClientHello`, with its highest bit set.
const HANDSHAKE: u8 = 0x16;

/// Most first messages are smaller; larger ones are read in further steps.
const HELLO_BYTES: usize = 16 * 1024;

/// `unrecognized_name` (RFC 6066 section 3).
const UNRECOGNIZED_NAME: u8 = 112;
/// `decode_error`, for what makes no sense (RFC 8446 section 6.2).
const DECODE_ERROR: u8 = 50;
/// `internal_error` (RFC 8446 section 6.2).
const INTERNAL_ERROR: u8 = 80;

/// Why no handshake came about, as the log says it; `None` where there is nothing to say.
struct Failed(Option<(Level, String)>);

impl Failed {
    fn info(message: impl Into<String>) -> Failed {
        Failed(Some((Level::Info, message.into())))
    }
}

/// Makes the handshake of a connection within `client_header_timeout`. `None` where it ends here.
pub(crate) async fn shake(io: Transport, facts: ClientFacts, site: usize, shared: &Arc<Shared>) -> Option<Arrived> {
    let generation = shared.generation.load_full();
    let site = generation.site_of(site)?;
    let wait = generation.default_server(site).client_header_timeout;
    let (serial, remote, local) = (facts.serial, facts.remote, facts.local);
    let made = timeout(wait, arrive(io, facts, site, &generation)).await;
    metrics::count(tally(&made));
    let failed = match made {
        Ok(Ok(arrived)) => return Some(arrived),
        Ok(Err(Failed(why))) => why?,
        Err(_) => (Level::Info, "client timed out (110: Connection timed out)".to_owned()),
    };
    let (level, message) = failed;
    let ends = address::ends(remote, local);
    generation.error_sink.write(level, serial, format_args!("{message} while SSL handshaking, {ends}"));
    None
}

/// What a handshake counts as. One that was answered in plain text came to nothing.
fn tally<E>(made: &Result<Result<Arrived, Failed>, E>) -> Tally {
    match made {
        Ok(Ok(Arrived { facts, .. })) => match &facts.tls {
            Some(tls) if tls.is_resumed => Tally::TlsResumed,
            Some(_) => Tally::TlsFull,
            None => Tally::TlsFailed,
        },
        _ => Tally::TlsFailed,
    }
}

async fn arrive(
    mut io: Transport,
    mut facts: ClientFacts,
    site: usize,
    generation: &Arc<Generation>,
) -> Result<Arrived, Failed> {
    let first = first_byte(&io).await?;
    if first != HANDSHAKE && first & 0x80 == 0 {
        // Whatever it is, it is answered in plain text, with nginx's own status 497.
        facts.is_plain_to_tls = true;
        return Ok(Arrived { io, facts });
    }
    let (hello, accepted) = read_hello(&mut io).await?;
    let mut tls = offered(&accepted);
    drop(accepted);
    let Some((server, http2)) = choose(generation, site, tls.name()) else {
        alert(&mut io, UNRECOGNIZED_NAME).await;
        return Err(Failed::info("handshake rejected"));
    };
    tls.is_chosen = is_chosen(generation, site, tls.name());
    let asked = tls.name.clone();
    let config =
        server.config(http2, |template| render_for_handshake(generation, &facts, asked.as_deref(), site, template));
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            alert(&mut io, INTERNAL_ERROR).await;
            return Err(Failed(Some((Level::Error, error))));
        }
    };
    let Transport::Socket(socket) = io else { return Err(Failed(None)) };
    let mut stream = TlsStream::accept(socket, config, hello)
        .map_err(|error| Failed(Some((Level::Error, format!("SSL_new() failed (SSL: {error})")))))?;
    complete(&mut stream, &mut tls).await?;
    tls.verdict = server.judge(stream.negotiated().certificates);
    facts.tls = Some(Arc::new(tls));
    Ok(Arrived { io: Transport::Tls(Box::new(stream)), facts })
}

/// Sends a fatal alert in a record that is not encrypted.
async fn alert(io: &mut Transport, description: u8) {
    // The client may be gone already, which is all the same now.
    let _ = io.write_all(&[0x15, 3, 3, 0, 2, 2, description]).await;
}

/// What the connection begins with; nothing is taken.
async fn first_byte(io: &Transport) -> Result<u8, Failed> {
    let Some(socket) = io.socket() else { return Err(Failed(None)) };
    let mut byte = [0];
    match socket.peek(&mut byte).await {
        Ok(0) => Err(Failed::info("client closed connection")),
        Ok(_) => Ok(byte[0]),
        Err(error) => Err(Failed::info(format!("recv() failed ({})", os_error(&error)))),
    }
}

/// Reads the client's first message: its bytes, and what they say.
async fn read_hello(io: &mut Transport) -> Result<(Vec<u8>, Accepted), Failed> {
    let (mut hello, mut acceptor) = (Vec::new(), Acceptor::default());
    loop {
        let start = hello.len();
        let read = poll_fn(|cx| scratch::poll_read(io, cx, HELLO_BYTES, |_, bytes| hello.extend_from_slice(bytes)));
        read.await.map_err(|error| Failed::info(format!("SSL_do_handshake() failed ({})", os_error(&error))))?;
        let mut new = &hello[start..];
        let closed = new.is_empty();
        // It reads as much as a record at a time, and fails where it is given more than a message can be.
        while !new.is_empty() && acceptor.read_tls(&mut new).is_ok_and(|taken| taken > 0) {}
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok((hello, accepted)),
            Ok(None) if closed => return Err(Failed::info("peer closed connection in SSL handshake")),
            Ok(None) => {}
            Err((error, mut says)) => {
                let mut bytes = Vec::new();
                if says.write_all(&mut bytes).is_ok() && !bytes.is_empty() {
                    let _ = io.write_all(&bytes).await;
                } else {
                    alert(io, DECODE_ERROR).await;
                }
                return Err(failed(&error));
            }
        }
    }
}

fn offered(accepted: &Accepted) -> TlsFacts {
    let hello = accepted.client_hello();
    TlsFacts {
        name: hello.server_name().map(|name| name.to_ascii_lowercase().into()),
        offered_suites: hello.cipher_suites().into(),
        offered_groups: hello.named_groups().unwrap_or_default().into(),
        ..TlsFacts::default()
    }
}

/// The TLS of the server that has the name, and whether HTTP/2 is offered. `None` where the server rejects handshakes. A
/// server without a certificate shows the default server's.
fn choose(generation: &Generation, site: usize, name: Option<&str>) -> Option<(Arc<ServerTls>, bool)> {
    let site = &generation.sites[site];
    let named = name.and_then(|name| site.names.find(name.as_bytes()).ok());
    let index = named.map_or(site.default.server, |(named, _)| named.server);
    let server = &generation.config.http.servers[index];
    if server.tls.reject_handshake {
        return None;
    }
    let tls = generation.tls.of(index).or_else(|| generation.tls.of(site.default.server))?;
    Some((tls.clone(), site.speaks_http2(server)))
}

/// Whether one of several servers has the name.
fn is_chosen(generation: &Generation, site: usize, name: Option<&str>) -> bool {
    let site = &generation.sites[site];
    let named = name.and_then(|name| site.names.find(name.as_bytes()).ok());
    site.servers.len() > 1 && named.is_some_and(|(named, _)| named.name.is_some())
}

/// Makes the rest of the handshake.
async fn complete(stream: &mut TlsStream, tls: &mut TlsFacts) -> Result<(), Failed> {
    let mut session = None;
    let made = {
        let mut handshake = pin!(stream.handshake());
        poll_fn(|cx| in_session(&mut session, || handshake.as_mut().poll(cx))).await
    };
    made.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => failed(inner),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failed::info("peer closed connection in SSL handshake"),
        None => Failed::info(format!("SSL_do_handshake() failed ({})", os_error(&error))),
    })?;
    tls.take(stream);
    tls.session = session;
    Ok(())
}

fn failed(error: &rustls::Error) -> Failed {
    Failed::info(format!("SSL_do_handshake() failed (SSL: {error})"))
}
