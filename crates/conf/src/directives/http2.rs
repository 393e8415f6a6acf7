//! `ngx_http_v2_module`: HTTP/2 towards clients.

use super::no_effect;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("http2", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.server.http2.on = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc(
        "Whether clients may speak HTTP/2: over TLS where they choose it (ALPN), in clear text where a connection begins with \
         HTTP/2's preface. WebSockets come as streams (RFC 8441), where a location can serve them.",
    ),
    Row::new("http2_max_concurrent_streams", Contexts::HTTP_SERVER, Arity::Exactly(1), max_concurrent_streams)
        .default("128")
        .doc("How many streams, WebSockets among them, a client may have open at once on a connection."),
    Row::new("http2_body_preread_size", Contexts::HTTP_SERVER, Arity::Exactly(1), body_preread_size).default("64k").doc(
        "How much of a request's body, or of a WebSocket's messages, a client may send before it is read (the window of a \
         new stream).",
    ),
    Row::new("http2_chunk_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), chunk_size)
        .default("8k")
        .doc("The largest piece that a response's body is sent in (a DATA frame), so that streams take turns."),
    Row::new("http2_recv_buffer_size", Contexts::HTTP, Arity::Exactly(1), recv_buffer_size).default("256k").doc(
        "Checked as nginx checks it, and without effect: all connections of a worker share one read buffer of 256 KiB.",
    ),
    Row::new("http2_pool_size", Contexts::HTTP_SERVER, Arity::Exactly(1), pool_size)
        .default("4k")
        .doc("Checked as nginx checks it, and without effect: memory is not taken from pools per connection."),
    Row::new("http2_streams_index_size", Contexts::HTTP_SERVER, Arity::Exactly(1), streams_index_size)
        .default("32")
        .doc("Checked as nginx checks it, and without effect: the table of streams grows as it needs."),
    replaced("http2_recv_timeout", "Obsolete, as in nginx, and without effect: use `client_header_timeout`."),
    replaced("http2_idle_timeout", "Obsolete, as in nginx, and without effect: use `keepalive_timeout`."),
    replaced("http2_max_requests", "Obsolete, as in nginx, and without effect: use `keepalive_requests`."),
    replaced("http2_max_field_size", "Obsolete, as in nginx, and without effect: use `large_client_header_buffers`."),
    replaced("http2_max_header_size", "Obsolete, as in nginx, and without effect: use `large_client_header_buffers`."),
    Row::new("http2_max_concurrent_pushes", Contexts::HTTP_SERVER, Arity::Exactly(1), obsolete).repeats().doc(PUSH),
    Row::new("http2_push", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), obsolete).repeats().doc(PUSH),
    Row::new("http2_push_preload", Contexts::HTTP_TO_LOCATION, Arity::Flag, obsolete).repeats().doc(PUSH),
];

const PUSH: &str = "Obsolete, as in nginx, and without effect: browsers have dropped server push.";

const fn replaced(name: &'static str, doc: &'static str) -> Row {
    Row::new(name, Contexts::HTTP_SERVER, Arity::Exactly(1), obsolete).repeats().doc(doc)
}

/// What replaces an obsolete directive.
const REPLACEMENTS: [(&str, &str); 5] = [
    ("http2_recv_timeout", "client_header_timeout"),
    ("http2_idle_timeout", "keepalive_timeout"),
    ("http2_max_requests", "keepalive_requests"),
    ("http2_max_field_size", "large_client_header_buffers"),
    ("http2_max_header_size", "large_client_header_buffers"),
];

/// The largest window there is (RFC 9113 section 6.9.1).
const WINDOW_MAX: usize = (1 << 31) - 1;

/// The largest frame there is (RFC 9113 section 4.2).
const FRAME_BYTES_MAX: usize = (1 << 24) - 1;

/// nginx's state buffer, which a receive buffer has to be larger than.
const STATE_BYTES: usize = 16;

fn obsolete(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.name();
    let message = match REPLACEMENTS.iter().find(|(old, _)| *old == name) {
        Some((_, new)) => format!("the \"{name}\" directive is obsolete, use the \"{new}\" directive instead"),
        None => format!("the \"{name}\" directive is obsolete, ignored"),
    };
    scope.warn(directive, Fault::new(message));
    Ok(())
}

fn max_concurrent_streams(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.server.http2.streams_max = u32::try_from(directive.number(1)?).unwrap_or(u32::MAX);
    Ok(())
}

fn body_preread_size(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let size = directive.size(1)?;
    let size = u32::try_from(size).ok().filter(|_| size <= WINDOW_MAX);
    let too_large = || Fault::at(1, format!("the maximum body preread buffer size is {WINDOW_MAX}"));
    scope.server.http2.body_preread_bytes = size.ok_or_else(too_large)?;
    Ok(())
}

fn chunk_size(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let size = directive.size(1)?;
    if size == 0 {
        return Err(Fault::at(1, "the http2 chunk size cannot be zero"));
    }
    scope.location.http2_chunk_size = size.min(FRAME_BYTES_MAX);
    Ok(())
}

fn recv_buffer_size(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.size(1)? <= STATE_BYTES {
        return Err(Fault::at(1, "\"http2_recv_buffer_size\" directive value is too small"));
    }
    Ok(())
}

fn pool_size(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    no_effect::pool_size(directive)
}

fn streams_index_size(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if !directive.number(1)?.is_power_of_two() {
        return Err(Fault::at(1, "\"http2_streams_index_size\" directive must be a power of two"));
    }
    Ok(())
}
