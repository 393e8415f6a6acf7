//! The headers of a proxied request and response.

use crate::config::{HttpVersion, SetHeader};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use bytes::Bytes;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_hide_header", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let is_first = scope.is_first(directive);
        push(&mut scope.proxy().hide_headers, is_first, directive.arg(1).to_ascii_lowercase().into());
        Ok(())
    })
    .repeats()
    .doc(
        "A header of the upstream's response that is not passed on, besides `Date`, `Server`, `X-Pad` and `X-Accel-…`. \
         The first line of a block replaces the inherited ones.",
    ),
    Row::new("proxy_http_version", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().http_version = match directive.arg(1) {
            "1.0" => HttpVersion::V1_0,
            "1.1" => HttpVersion::V1_1,
            "2" => HttpVersion::V2,
            "auto" => HttpVersion::Auto,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("1.0")
    .doc(
        "The version of HTTP that the upstream is asked with. With `2`, requests and WebSockets share few connections, \
         without TLS by prior knowledge; `auto` (Culvert's own) leaves the choice between 2 and 1.1 to the server, which \
         only TLS knows how to ask, and is 1.1 without it. With `1.0` tunnels use 1.1 all the same. A WebSocket goes over 2 \
         if the server takes it (RFC 8441), else over a connection of 1.1.",
    ),
    Row::new("proxy_pass_header", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let is_first = scope.is_first(directive);
        push(&mut scope.proxy().pass_headers, is_first, directive.arg(1).to_ascii_lowercase().into());
        Ok(())
    })
    .repeats()
    .doc(
        "A header of the upstream's response that is passed on although it would be hidden. The first line of a block \
         replaces the inherited ones.",
    ),
    Row::new("proxy_redirect", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), super::proxy_redirect::proxy_redirect)
        .repeats()
        .default("default")
        .doc(
            "How `Location` and `Refresh` of the upstream's response are rewritten: from a prefix or, after `~` or \
             `~*`, a regular expression to a replacement; `default` from the address of `proxy_pass` to the location's \
             name; `off` not at all. The first line of a block replaces the inherited ones.",
        ),
    Row::new("proxy_set_header", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), set_header).repeats().doc(
        "A header of the request to the upstream; one with an empty value is not sent. The first line of a block \
         replaces the inherited ones. Without any, `Host $proxy_host` and `Connection close` are sent. An `Upgrade` to \
         `h2c` is never passed on, since it smuggles requests past the gateway.",
    ),
];

fn set_header(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = Bytes::copy_from_slice(directive.arg(1).as_bytes());
    let value = scope.template(directive, 2)?;
    let is_first = scope.is_first(directive);
    push(&mut Arc::make_mut(&mut scope.location.proxy).set_headers, is_first, SetHeader { name, value });
    Ok(())
}
