//! How a client's connection is treated: rates, closing, keep-alive, interim answers.

use super::temp_path;
use crate::config::{BodyFile, KeepaliveDisable, LingeringClose, TempPath};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("chunked_transfer_encoding", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.client().chunked_transfer_encoding = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether a body of unknown length goes to an HTTP/1.1 client in chunks. `off` ends it by closing instead."),
    Row::new("client_body_in_file_only", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), body_in_file_only)
        .default("off")
        .doc(
            "Whether the body of a request is written to a file before whoever answers is asked: `on` and the file stays, \
             `clean` and it goes with the request. `$request_body_file` is its path. Otherwise no body is written to a file.",
        ),
    Row::new("client_body_temp_path", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 4), body_temp_path)
        .default("client_body_temp")
        .doc(
            "Where the files of `client_body_in_file_only` are: a folder, made at the start if it is missing, and how many letters the names of \
             up to three levels of folders in it have.",
        ),
    Row::new("early_hints", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), early_hints).doc(
        "When a 103 (Early Hints) of the upstream is passed on: if one of the values is neither empty nor `0`. Without it \
         they are dropped.",
    ),
    Row::new("keepalive_disable", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), keepalive_disable)
        .repeats()
        .default("msie6")
        .doc(
            "Browsers whose connections are closed after each response: `msie6` (old MSIE, after a POST), `safari` (on \
             macOS), or `none`.",
        ),
    Row::new("keepalive_min_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.client().keepalive_min_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("0")
    .doc("For how long after a response a client connection is not closed by a graceful stop."),
    Row::new("limit_rate", Contexts::HTTP_TO_IF, Arity::Exactly(1), |scope, directive| {
        scope.client().limit_rate = scope.size_value(directive, 1)?;
        Ok(())
    })
    .default("0")
    .doc(
        "How many bytes per second a response is sent with; 0 is without limit. It holds per request, so a client with \
         two connections gets twice as much; a tunnel is not slowed down (see `websocket_rate`). Variables are allowed.",
    ),
    Row::new("limit_rate_after", Contexts::HTTP_TO_IF, Arity::Exactly(1), |scope, directive| {
        scope.client().limit_rate_after = scope.size_value(directive, 1)?;
        Ok(())
    })
    .default("0")
    .doc("How many bytes of a response are sent before `limit_rate` holds. Variables are allowed."),
    Row::new("lingering_close", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.client().lingering_close = match directive.arg(1).to_ascii_lowercase().as_str() {
            "off" => LingeringClose::Off,
            "on" => LingeringClose::On,
            "always" => LingeringClose::Always,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("on")
    .doc(
        "Whether what a client still sends is read and dropped before its connection is closed: `on` where more is known \
         to come, `always`, or `off`.",
    ),
    Row::new("max_headers", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.server.max_headers = directive.number(1)?;
        Ok(())
    })
    .default("1000")
    .doc("How many header lines a request may have; one with more is 400. More than 1000 are never taken."),
    Row::new("reset_timedout_connection", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.client().reset_timedout_connection = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc(
        "Whether a client connection that timed out, or that `return 444` closes, is reset, so that the kernel forgets at \
         once what it still had to send.",
    ),
];

fn body_in_file_only(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.client().body_file = match directive.arg(1).to_ascii_lowercase().as_str() {
        "off" => BodyFile::Never,
        "on" => BodyFile::Kept,
        "clean" => BodyFile::Cleaned,
        _ => return Err(directive.invalid_word(1)),
    };
    Ok(())
}

fn body_temp_path(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let levels = temp_path::levels(directive)?;
    let folder = scope.path(directive.arg(1));
    scope.client().body_temp = Arc::new(TempPath { folder, levels });
    Ok(())
}

fn early_hints(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let numbers = 1..=directive.args().len();
    let conditions: Result<Vec<_>, Fault> = numbers.map(|number| scope.template(directive, number)).collect();
    scope.client().early_hints = conditions?.into();
    Ok(())
}

fn keepalive_disable(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut disable = match scope.is_first(directive) {
        true => KeepaliveDisable { msie6: false, safari: false },
        false => scope.location.client.keepalive_disable,
    };
    for (index, word) in directive.args().iter().enumerate() {
        match word.text.to_ascii_lowercase().as_str() {
            "none" => {}
            "msie6" => disable.msie6 = true,
            "safari" => disable.safari = true,
            _ => return Err(directive.invalid_word(index + 1)),
        }
    }
    scope.client().keepalive_disable = disable;
    Ok(())
}
