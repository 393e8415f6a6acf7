//! Culvert's own module: whether frames are read, and how long a WebSocket lives.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::websocket::{Opcodes, OverRate, Ping, Policy, Validation};
use std::sync::Arc;
use std::time::Duration;

/// What `websocket_close_timeout` is where nothing is said.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("websocket_close_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let wait = directive.milliseconds(1)?;
        scope.websocket().close_timeout = wait;
        // A policy that says nothing costs a tunnel nothing; it stands for the default.
        scope.frame_policy().close_wait = Some(wait).filter(|wait| *wait != CLOSE_TIMEOUT);
        Ok(())
    })
    .own()
    .default("5s")
    .doc(
        "How long WebSockets have to answer the gateway's Close frame, whether it is a stop that ends them, a limit, their \
         age or their silence, before their connections are closed without.",
    ),
    Row::new("websocket_frames", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.websocket().frames = directive.flag(1)?;
        Ok(())
    })
    .own()
    .default("on")
    .doc(
        "Whether frame headers are read as they pass, which everything about pings, limits, validation and close codes \
         needs; payloads stay untouched. `off` is the raw mode: a tunnel carries bytes, and what it inherits of such \
         directives does not hold.",
    ),
    Row::new("websocket_idle_timeout", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), idle_timeout)
        .own()
        .default("off")
        .doc(
            "`client=time`, `server=time` or both: a WebSocket is closed (1001) when that side has sent nothing for so \
             long, whatever the other one sends. Answers to the gateway's own pings do not count. A side that is not \
             named has no limit.",
        ),
    Row::new("websocket_log_open", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.websocket().log_open = directive.flag(1)?;
        Ok(())
    })
    .own()
    .default("off")
    .doc("Whether the error log notes at level `info` when a WebSocket opens; the access log has its line when it ends."),
    Row::new("websocket_max_age", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), max_age).own().default("off").doc(
        "How long a WebSocket may live before the gateway closes it (1001). `jitter=20%` takes up to that share off, a \
         different one for each WebSocket, so that those that opened together do not end together.",
    ),
    Row::new("websocket_ping", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), ping).own().default("off").doc(
        "A side that has sent nothing for this time is sent a ping. The pong to it is not passed on; pings and pongs of \
         the applications are. If nothing comes for the time of `timeout=` (the interval itself without it), the \
         WebSocket is closed. While this is on, `proxy_read_timeout` does not end a WebSocket that is idle but answers.",
    ),
    Row::new("websocket_validation", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.frame_policy().validation = match directive.arg(1) {
            "off" => Validation::Off,
            "report" => Validation::Report,
            "enforce" => Validation::Enforce,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .own()
    .default("off")
    .doc(
        "Whether frames are held to RFC 6455: masking, reserved bits, control frames, the order of fragments, close \
         codes, and UTF-8 in uncompressed text. `report` counts and logs what breaks it, `enforce` closes the WebSocket \
         (1002, or 1007 for text).",
    ),
];

fn ping(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let interval = time_or_off(directive)?;
    let timeout = parameter(directive, 2, "timeout", interval.is_some())?.map(|text| time(directive, 2, text));
    let timeout = timeout.transpose()?;
    scope.frame_policy().ping = interval.map(|interval| Ping { interval, timeout: timeout.unwrap_or(interval) });
    Ok(())
}

fn max_age(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let age_max = time_or_off(directive)?;
    let jitter = parameter(directive, 2, "jitter", age_max.is_some())?;
    let age_jitter = match jitter {
        None => 0.0,
        Some(text) => percent(text).ok_or_else(|| directive.invalid_parameter(2))?,
    };
    let policy = scope.frame_policy();
    policy.age_max = age_max;
    policy.age_jitter = age_jitter;
    Ok(())
}

/// A whole number of percent up to a hundred, as a share of one.
fn percent(text: &str) -> Option<f64> {
    let percent = text.strip_suffix('%').and_then(units::number).and_then(|percent| u8::try_from(percent).ok())?;
    (percent <= 100).then(|| f64::from(percent) / 100.0)
}

fn idle_timeout(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let (mut client, mut server) = (None, None);
    let is_off = directive.arg(1) == "off" && directive.args().len() == 1;
    for number in (1..=directive.args().len()).filter(|_| !is_off) {
        let (side, text) = directive.arg(number).split_once('=').ok_or_else(|| directive.invalid_parameter(number))?;
        let side = match side {
            "client" => &mut client,
            "server" => &mut server,
            _ => return Err(directive.invalid_parameter(number)),
        };
        if side.replace(time(directive, number, text)?).is_some() {
            return Err(Fault::at(number, format!("duplicate parameter \"{}\"", directive.arg(number))));
        }
    }
    let policy = scope.frame_policy();
    policy.idle_client = client;
    policy.idle_server = server;
    Ok(())
}

/// The first argument: `off` or a time.
fn time_or_off(directive: &Directive) -> Result<Option<Duration>, Fault> {
    match directive.arg(1) {
        "off" => Ok(None),
        text => match units::milliseconds(text) {
            Some(time) if !time.is_zero() => Ok(Some(time)),
            Some(_) => Err(directive.invalid_value(1).hint("\"off\" turns it off")),
            None => Err(directive.invalid_value(1)),
        },
    }
}

/// A time in a parameter. Nothing can happen at once, so zero is none.
fn time(directive: &Directive, number: usize, text: &str) -> Result<Duration, Fault> {
    units::milliseconds(text).filter(|time| !time.is_zero()).ok_or_else(|| directive.invalid_parameter(number))
}

/// The text after `name=` of an argument that need not be there, and can't where the directive is `off`.
pub(crate) fn parameter<'d>(
    directive: &'d Directive,
    number: usize,
    name: &str,
    is_on: bool,
) -> Result<Option<&'d str>, Fault> {
    let Some(word) = directive.args().get(number - 1) else { return Ok(None) };
    let text = word.text.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    text.filter(|_| is_on).map(Some).ok_or_else(|| directive.invalid_parameter(number))
}

/// A directive that frames must be read for, and whether what it says asks for that.
type Need = (&'static str, fn(&Policy) -> bool);

const NEED_FRAMES: [Need; 11] = [
    ("websocket_byte_rate", |policy| policy.bytes_rate.is_some()),
    ("websocket_idle_timeout", |policy| policy.idle_client.is_some() || policy.idle_server.is_some()),
    ("websocket_max_age", |policy| policy.age_max.is_some()),
    ("websocket_max_fragments", |policy| policy.fragments_max.is_some()),
    ("websocket_max_frame_size", |policy| policy.frame_bytes_max.is_some()),
    ("websocket_max_message_size", |policy| policy.message_bytes_max.is_some()),
    ("websocket_message_rate", |policy| policy.messages_rate.is_some()),
    ("websocket_opcodes", |policy| policy.opcodes != Opcodes::default()),
    ("websocket_over_rate", |policy| policy.over_rate != OverRate::default()),
    ("websocket_ping", |policy| policy.ping.is_some()),
    ("websocket_validation", |policy| policy.validation != Validation::default()),
];

/// Settles what the raw mode means for the other directives. A block that asks for both is a mistake; a block that turns
/// frames off drops what it inherits.
pub(crate) fn settle_frames(scope: &mut Scope<'_>) {
    if scope.location.websocket.frames {
        return;
    }
    let policy = scope.location.websocket.policy.clone();
    for (name, asks) in NEED_FRAMES {
        if scope.has(name) && asks(&policy) {
            let message = format!("\"{name}\" needs frames to be read, but \"websocket_frames\" is off here");
            scope.fault_at_last(&[name], &message);
        }
    }
    // The time for the echo of a Close is no wish for frames; blocks inside that read them still inherit it.
    let rest = Policy { close_wait: policy.close_wait, ..Policy::default() };
    if *policy != rest {
        scope.websocket().policy = Arc::new(rest);
    }
}
