//! `proxy_pass` and what governs the exchange with the upstream, but for its headers.

use crate::config::{NextUpstream, ProxySettings};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::retry::RetryOn;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_pass", PASS_BLOCKS, Arity::Exactly(1), super::proxy_pass::proxy_pass).doc(
        "Hands requests to `http://` or, over TLS, `https://` and an upstream, a host with an optional port, or `unix:/path`. A path after that \
         (after `:` for a socket) replaces what the location's name matched; without one the target goes on as the \
         client sent it. Variables are allowed anywhere.",
    ),
    Row::new("proxy_websocket", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().websocket = directive.flag(1)?;
        Ok(())
    })
    .own()
    .default("on")
    .doc(
        "Whether a valid WebSocket handshake (RFC 6455) becomes a tunnel without `proxy_http_version` and \
         `proxy_set_header`: Culvert writes the hop-by-hop headers itself. `off` leaves everything to those \
         directives.",
    ),
    Row::new("proxy_buffer_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().buffers.head = directive.size(1)?;
        Ok(())
    })
    .default("4k")
    .doc("The longest response head that is taken from the upstream; a longer one is 502."),
    Row::new("proxy_buffering", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().buffering = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether a response is read ahead of a slow client, as far as `proxy_buffers` go."),
    Row::new("proxy_buffers", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), buffers)
        .default("8 4k")
        .doc("How many buffers of which size a response may fill ahead of a slow client."),
    Row::new("proxy_busy_buffers_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().busy_buffers_size = directive.size(1)?;
        scope.busy_buffers_given = true;
        Ok(())
    })
    .default("8k")
    .doc(
        "Checked against the two directives above, as nginx does. Nothing else depends on it: Culvert writes whatever \
         the client takes. Without it twice the larger of `proxy_buffer_size` and one of `proxy_buffers`.",
    ),
    Row::new("proxy_connect_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().connect_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a connection to the upstream may take to be made."),
    Row::new("proxy_ignore_client_abort", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().ignore_client_abort = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether a request goes on at the upstream after its client has left."),
    Row::new("proxy_intercept_errors", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().intercept_errors = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether `error_page` applies to responses of the upstream with status 300 and above."),
    Row::new("proxy_max_temp_file_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().temp_file_size_max = Some(directive.size(1)? as u64);
        Ok(())
    })
    .doc(
        "Checked against the sizes of buffers, as nginx does. Nothing else depends on it: no response is written to a \
         file, reading from the upstream stops when the buffers are full.",
    ),
    Row::new("proxy_next_upstream", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), next_upstream)
        .repeats()
        .default("error timeout")
        .doc(
            "When the next server is tried: `error`, `timeout`, `invalid_header`, `http_500`, `http_502`, `http_503`, \
             `http_504`, `http_403`, `http_404`, `http_429`; `non_idempotent` includes POST, LOCK and PATCH once they \
             were sent; `off` never. `updating` is accepted, and has no effect in nginx either.",
        ),
    Row::new("proxy_next_upstream_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().next_upstream.timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("0")
    .doc("For how long further servers may be tried; 0 is without limit."),
    Row::new("proxy_next_upstream_tries", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let tries = u32::try_from(directive.number(1)?);
        scope.proxy().next_upstream.tries = tries.map_err(|_| directive.invalid_value(1))?;
        Ok(())
    })
    .default("0")
    .doc("How many servers may be tried in all; 0 is without limit."),
    Row::new("proxy_read_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().read_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long the upstream may send nothing. It ends a tunnel in which nothing was read for that long."),
    Row::new("proxy_request_buffering", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().request_buffering = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether a request's body is read before the upstream is asked, so far as it fits into memory."),
    Row::new("proxy_send_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().send_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long the upstream may take nothing."),
    Row::new("proxy_socket_keepalive", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().socket_keepalive = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether TCP keep-alive probes are sent to the upstream (`SO_KEEPALIVE`)."),
    Row::new("proxy_temp_file_write_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().temp_file_write_size = Some(directive.size(1)?);
        Ok(())
    })
    .doc("Checked against the sizes of buffers, as nginx does. Nothing else depends on it: there are no temporary files."),
];

const PASS_BLOCKS: Contexts = Contexts::LOCATION.and(Contexts::LOCATION_IF).and(Contexts::LIMIT_EXCEPT);

fn buffers(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let number = units::number(directive.arg(1)).filter(|&number| number > 0).and_then(|n| usize::try_from(n).ok());
    let size = units::size(directive.arg(2)).filter(|&size| size > 0);
    let buffers = &mut scope.proxy().buffers;
    buffers.number = number.ok_or_else(|| directive.invalid_value(1))?;
    buffers.size = size.ok_or_else(|| directive.invalid_value(2))?;
    Ok(())
}

fn next_upstream(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut on = (!scope.is_first(directive)).then_some(scope.location.proxy.next_upstream.on);
    for (index, word) in directive.args().iter().enumerate() {
        // nginx takes the word, which is about caches, and never acts on it.
        if word.text == "updating" {
            continue;
        }
        let found = RetryOn::from_name(&word.text).ok_or_else(|| directive.invalid_word(index + 1))?;
        if on.is_some_and(|on| on.contains(found)) {
            scope.warn(directive, Fault::at(index + 1, format!("duplicate value \"{}\"", word.text)));
        }
        on = Some(on.map_or(found, |on| on.union(found)));
    }
    let on = on.filter(|on| !on.contains(RetryOn::OFF)).unwrap_or(RetryOn::OFF);
    let bounds = scope.proxy().next_upstream;
    scope.proxy().next_upstream = NextUpstream { on, ..bounds };
    Ok(())
}

const SIZES: &[&str] = &[
    "proxy_buffer_size",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_max_temp_file_size",
    "proxy_temp_file_write_size",
];

/// Settles what the sizes of a block imply for each other, once all of them are known. As in nginx, `http` may say what
/// only makes sense together with what each server adds.
pub(crate) fn settle_buffers(scope: &mut Scope<'_>) {
    let says_something = SIZES.iter().any(|name| scope.has(name));
    if says_something && !scope.busy_buffers_given {
        let buffers = scope.location.proxy.buffers;
        scope.proxy().busy_buffers_size = buffers.head.max(buffers.size) * 2;
    }
    let is_new = scope.context == Contexts::SERVER || scope.context == Contexts::LOCATION && says_something;
    match relation(&scope.location.proxy) {
        Some(message) if is_new => scope.fault_at_last(SIZES, message),
        _ => {}
    }
}

/// What is wrong between the sizes, in nginx's words.
fn relation(proxy: &ProxySettings) -> Option<&'static str> {
    let buffers = proxy.buffers;
    let busy = proxy.busy_buffers_size;
    if buffers.number < 2 {
        Some("there must be at least 2 \"proxy_buffers\"")
    } else if busy < buffers.head.max(buffers.size) {
        Some(
            "\"proxy_busy_buffers_size\" must be equal to or greater than the maximum of the value of \
             \"proxy_buffer_size\" and one of the \"proxy_buffers\"",
        )
    } else if busy > (buffers.number - 1).saturating_mul(buffers.size) {
        Some("\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one buffer")
    } else {
        temp_file_relation(proxy, buffers.head.max(buffers.size))
    }
}

/// The same about the sizes of temporary files, which there are none of.
fn temp_file_relation(proxy: &ProxySettings, largest: usize) -> Option<&'static str> {
    if proxy.temp_file_write_size.is_some_and(|size| size < largest) {
        return Some(
            "\"proxy_temp_file_write_size\" must be equal to or greater than the maximum of the value of \
             \"proxy_buffer_size\" and one of the \"proxy_buffers\"",
        );
    }
    proxy.temp_file_size_max.filter(|&size| size > 0 && size < largest as u64).map(|_| {
        "\"proxy_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal to or \
         greater than the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\""
    })
}
