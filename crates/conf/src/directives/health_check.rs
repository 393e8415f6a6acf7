//! `health_check`: servers are asked how they are.

use crate::config::{CheckTls, Handler, HealthCheck, ProxySettings, ProxyTarget};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use crate::units;
use bytes::Bytes;
use culvert_engine::health::{Check, HttpCheck, Match, Probe, WebsocketCheck};
use culvert_engine::template::Template;
use std::sync::Arc;
use std::time::Duration;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[Row {
    // Looked at when the block's values are settled: a check is made with them.
    phase: Phase::Definition,
    ..Row::new("health_check", Contexts::LOCATION.and(Contexts::UPSTREAM), Arity::AtLeast(0), health_check)
}
.repeats()
.doc(
    "Asks each server of the group every `interval=TIME` (5 s), up to `jitter=TIME` later, how it is. `fails=N` failures \
     in a row make it unhealthy, `passes=N` passes healthy again (1 each). `type=http` asks for `uri=` (`/`) and expects \
     a status of 2xx or 3xx, or what the `match=` block says; `type=tcp` opens a connection; Culvert's own \
     `type=websocket` opens a WebSocket at `uri=` with the subprotocol of `protocol=`, pings it, and expects the pong and \
     the echo of its Close, each within `timeout=TIME`. `port=N` asks another port, `keepalive_time=TIME` keeps the \
     connection for that long, `mandatory` lets no request through before the first pass, `persistent` takes over what \
     was known before a reload. In a location it is about the group that `proxy_pass` names, with the location's \
     timeouts and `proxy_set_header`s; Culvert allows it in `upstream` as well. `type=grpc` is not supported.",
)];

/// A check while its parameters are read.
#[derive(Default)]
struct Draft {
    check: Check,
    kind: Kind,
    /// Which parameters are there, with their numbers.
    given: Vec<(&'static str, usize)>,
    uri: Option<Box<str>>,
    matching: Option<Arc<Match>>,
    protocol: Option<Box<str>>,
    timeout: Option<Duration>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[default]
    Http,
    Tcp,
    Websocket,
}

impl Draft {
    /// Whether the parameters go together.
    fn check_company(&self) -> Result<(), Fault> {
        for &(name, number) in &self.given {
            if !self.kind.has(name) {
                let kind = self.kind.name();
                return Err(Fault::at(number, format!("\"{name}\" cannot be used with \"type={kind}\"")));
            }
            if name == "persistent" && !self.check.mandatory {
                return Err(Fault::at(number, "\"persistent\" requires \"mandatory\""));
            }
        }
        Ok(())
    }
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Http, Kind::Tcp, Kind::Websocket];

    fn name(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Tcp => "tcp",
            Kind::Websocket => "websocket",
        }
    }

    /// Whether this kind of check has the parameter.
    fn has(self, parameter: &str) -> bool {
        match parameter {
            "uri" => self != Kind::Tcp,
            "match" | "keepalive_time" => self == Kind::Http,
            "protocol" | "timeout" => self == Kind::Websocket,
            _ => true,
        }
    }
}

fn health_check(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut draft = Draft::default();
    for number in 1..=directive.args().len() {
        parameter(scope, directive, number, &mut draft)?;
    }
    draft.check_company()?;
    if let Some(group) = &scope.upstream {
        let check = finish(draft, &scope.location.proxy, group.name.clone().into(), None, directive);
        super::upstream::group(scope).health_checks.push(check);
        return Ok(());
    }
    let Handler::Proxy(pass) = &scope.location.handler else {
        return Err(Fault::new("\"health_check\" directive has no \"proxy_pass\" beside it"));
    };
    let ProxyTarget::Upstream { upstream, name, tls, .. } = &pass.target else {
        return Err(Fault::new("\"health_check\" directive requires a \"proxy_pass\" without variables"));
    };
    let tls = tls.then(|| CheckTls { settings: scope.location.proxy_tls.clone(), name: name.host.clone() });
    let check = finish(draft, &scope.location.proxy, name.host.clone(), tls, directive);
    scope.world.upstreams[*upstream].health_checks.push(check);
    Ok(())
}

fn parameter(scope: &mut Scope<'_>, directive: &Directive, number: usize, draft: &mut Draft) -> Result<(), Fault> {
    const NAMES: [&str; 14] = [
        "interval",
        "jitter",
        "fails",
        "passes",
        "uri",
        "port",
        "match",
        "keepalive_time",
        "type",
        "protocol",
        "timeout",
        "mandatory",
        "persistent",
        "grpc_service",
    ];
    let text = directive.arg(number);
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let name = NAMES.into_iter().find(|known| *known == name).ok_or_else(|| directive.invalid_parameter(number))?;
    if draft.given.iter().any(|(known, _)| *known == name) {
        return Err(Fault::at(number, format!("duplicate parameter \"{name}\"")));
    }
    draft.given.push((name, number));
    match (name, value) {
        ("match", Some(value)) => draft.matching = Some(find(scope, number, value)?),
        ("type", Some("grpc")) | ("grpc_service", Some(_)) => return Err(directive.unsupported_parameter(number)),
        (_, Some(value)) => set(draft, name, value).ok_or_else(|| directive.invalid_parameter(number))?,
        ("mandatory", None) => draft.check.mandatory = true,
        ("persistent", None) => draft.check.persistent = true,
        _ => return Err(directive.invalid_parameter(number)),
    }
    Ok(())
}

fn set(draft: &mut Draft, name: &str, value: &str) -> Option<()> {
    let check = &mut draft.check;
    let time = || units::milliseconds(value).filter(|time| !time.is_zero());
    let count = || u32::try_from(units::number(value)?).ok().filter(|&count| count > 0);
    match name {
        "interval" => check.interval = time()?,
        "jitter" => check.jitter = units::milliseconds(value)?,
        "fails" => check.fails = count()?,
        "passes" => check.passes = count()?,
        "port" => check.port = Some(u16::try_from(count()?).ok()?),
        "keepalive_time" => check.keepalive_time = Some(time()?),
        "uri" => draft.uri = Some(value).filter(|uri| is_target(uri)).map(Into::into).map(Some)?,
        "type" => draft.kind = Kind::ALL.into_iter().find(|kind| kind.name() == value)?,
        "protocol" => {
            draft.protocol =
                Some(value).filter(|text| super::websocket_handshake::is_token(text)).map(Into::into).map(Some)?
        }
        "timeout" => draft.timeout = Some(time()?),
        _ => return None,
    }
    Some(())
}

/// What may stand in a request line: nothing in it ends the line or the target.
fn is_target(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn find(scope: &mut Scope<'_>, number: usize, name: &str) -> Result<Arc<Match>, Fault> {
    let World { matches, suggestions, .. } = &mut *scope.world;
    let found = matches.iter().find(|known| *known.name == *name).cloned();
    found.ok_or_else(|| {
        let fault = Fault::at(number, format!("match block \"{name}\" is not defined"));
        match suggestions.nearest(name, matches.iter().map(|known| &*known.name)) {
            Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
            None => fault,
        }
    })
}

/// The check with what holds in its block. `host` is what probes say where no `proxy_set_header` does.
fn finish(
    draft: Draft,
    proxy: &ProxySettings,
    host: Bytes,
    tls: Option<CheckTls>,
    directive: &Directive,
) -> HealthCheck {
    let set_host = proxy.set_headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"host"));
    let headers: Vec<(Box<str>, Template)> = proxy
        .set_headers
        .iter()
        .filter(|header| !belongs_to_probe(&header.name))
        .map(|header| (String::from_utf8_lossy(&header.name).into(), header.value.clone()))
        .collect();
    let probe = probe(&draft, &headers, proxy.read_timeout);
    HealthCheck {
        check: Check { probe, ..draft.check },
        host: set_host.map_or_else(|| Template::literal(host), |header| header.value.clone()),
        headers,
        connect_timeout: proxy.connect_timeout,
        read_timeout: proxy.read_timeout,
        send_timeout: proxy.send_timeout,
        tls,
        place: directive.place.clone(),
    }
}

fn probe(draft: &Draft, headers: &[(Box<str>, Template)], read_timeout: Duration) -> Probe {
    let uri = draft.uri.clone().unwrap_or_else(|| "/".into());
    match draft.kind {
        Kind::Tcp => Probe::Tcp,
        Kind::Http => Probe::Http(HttpCheck { uri, matching: draft.matching.clone() }),
        Kind::Websocket => Probe::Websocket(WebsocketCheck {
            uri,
            protocol: draft.protocol.clone(),
            headers: headers.to_vec(),
            handshake_timeout: draft.timeout.unwrap_or(read_timeout),
            pong_timeout: draft.timeout.unwrap_or(WebsocketCheck::default().pong_timeout),
        }),
    }
}

/// Headers that the probe writes itself, or that would change how its request is read.
fn belongs_to_probe(name: &[u8]) -> bool {
    const OWN: [&str; 9] = [
        "host",
        "connection",
        "upgrade",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "content-length",
        "expect",
    ];
    let name = name.to_ascii_lowercase();
    OWN.iter().any(|own| own.as_bytes() == name) || name.starts_with(b"sec-websocket-")
}
