//! `sticky`: requests of one client go to one server.

use super::upstream::group;
use crate::diagnostic::Fault;
use crate::include;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::sticky::{Cookie, Expires, Learn, Signer, Sticky, sessions_in_zone};
use culvert_engine::template::Template;
use std::time::Duration;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[Row::new("sticky", Contexts::UPSTREAM, Arity::AtLeast(2), sticky).doc(
    "Binds a client to the server that it was given first, whether it polls or opens a WebSocket. `cookie NAME` gives it \
     the server's id (`route=`, or the MD5 of its address, as nginx) in a cookie, with `expires=TIME` or `expires=max`, \
     `domain=`, `httponly`, `secure`, `samesite=strict`, `lax`, `none` or variables, and `path=`. Culvert's own \
     `signed=FILE` signs the id, so that a client can't aim at a server: each line of the file is a key of 32 bytes or \
     more, the first one signs, and all of them are recognised. `route $variable …` takes the id from the first variable \
     that is not empty. `learn create=$variable lookup=$variable zone=NAME:SIZE` remembers which server began which \
     session, for `timeout=TIME` (10 minutes) after its last use; with `header` it learns from the response's head. A \
     mebibyte of the zone is 8000 sessions. `learn … sync` is not supported: nothing is shared between machines.",
)];

/// What HMAC-SHA256 asks of a key (RFC 2104 section 3).
const KEY_BYTES_MIN: usize = 32;

fn sticky(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let sticky = match directive.arg(1) {
        "cookie" => Sticky::Cookie(cookie(scope, directive)?),
        "route" => Sticky::Route(route(scope, directive)?),
        "learn" => Sticky::Learn(learn(scope, directive)?),
        text => return Err(Fault::at(1, format!("unknown parameter \"{text}\""))),
    };
    group(scope).sticky = Some(sticky);
    Ok(())
}

/// `"sticky" directive …`, as nginx says what is wrong with it.
fn fault(number: usize, what: &str) -> Fault {
    Fault::at(number, format!("\"sticky\" directive {what}"))
}

fn unknown(directive: &Directive, number: usize) -> Fault {
    Fault::at(number, format!("unknown parameter \"{}\"", directive.arg(number)))
}

fn cookie(scope: &mut Scope<'_>, directive: &Directive) -> Result<Cookie, Fault> {
    if directive.arg(2).is_empty() {
        return Err(fault(2, "empty cookie name"));
    }
    let mut cookie = Cookie::new(directive.arg(2));
    for number in 3..=directive.args().len() {
        attribute(scope, directive, number, &mut cookie)?;
    }
    Ok(cookie)
}

fn attribute(scope: &mut Scope<'_>, directive: &Directive, number: usize, cookie: &mut Cookie) -> Result<(), Fault> {
    let text = directive.arg(number);
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let is_second = match (name, value) {
        ("domain", Some("")) | ("path", Some("")) => return Err(fault(number, &format!("no value for \"{name}\""))),
        ("domain", Some(value)) => cookie.domain.replace(scope.template_of(directive, number, value)?).is_some(),
        ("path", Some(value)) => cookie.path.replace(value.into()).is_some(),
        ("expires", Some(value)) => cookie.expires.replace(expires(number, value)?).is_some(),
        ("samesite", Some(value)) => cookie.samesite.replace(samesite(scope, directive, number, value)?).is_some(),
        ("signed", Some(value)) => cookie.signer.replace(signer(scope, number, value)?).is_some(),
        ("httponly", None) => std::mem::replace(&mut cookie.httponly, true),
        ("secure", None) => std::mem::replace(&mut cookie.secure, true),
        _ => return Err(unknown(directive, number)),
    };
    match is_second {
        true => Err(fault(number, &format!("parameter \"{name}\" is duplicate"))),
        false => Ok(()),
    }
}

fn expires(number: usize, text: &str) -> Result<Expires, Fault> {
    match text {
        "max" => Ok(Expires::Max),
        _ => {
            let time = units::seconds(text).ok_or_else(|| fault(number, "invalid \"expires\" parameter value"))?;
            Ok(Expires::After(time))
        }
    }
}

fn samesite(scope: &mut Scope<'_>, directive: &Directive, number: usize, text: &str) -> Result<Template, Fault> {
    let template = scope.template_of(directive, number, text)?;
    let is_known = ["strict", "lax", "none"].iter().any(|known| text.eq_ignore_ascii_case(known));
    if template.as_literal().is_some() && !is_known {
        return Err(fault(number, "invalid \"samesite\" parameter value"));
    }
    Ok(template)
}

fn signer(scope: &mut Scope<'_>, number: usize, file: &str) -> Result<Signer, Fault> {
    if file.is_empty() {
        return Err(fault(number, "no value for \"signed\""));
    }
    // Keys lie beside the configuration, as certificates do in nginx.
    let folder = scope.world.options.file.parent().unwrap_or(&scope.world.options.prefix);
    let path = folder.join(file);
    let content = include::read_regular(&path).map_err(|message| Fault::at(number, message))?;
    let keys: Vec<&[u8]> =
        content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Err(Fault::at(number, format!("there is no key in \"{}\"", path.display())));
    }
    if keys.iter().any(|key| key.len() < KEY_BYTES_MIN) {
        let message = format!("a key in \"{}\" is shorter than {KEY_BYTES_MIN} bytes", path.display());
        return Err(Fault::at(number, message).hint("\"openssl rand -hex 32\" makes a good one"));
    }
    Ok(Signer::new(keys, &group(scope).name))
}

fn route(scope: &mut Scope<'_>, directive: &Directive) -> Result<Vec<Template>, Fault> {
    (2..=directive.args().len())
        .map(|number| match directive.arg(number).starts_with('$') {
            true => scope.template(directive, number),
            false => Err(Fault::at(number, format!("invalid variable name \"{}\"", directive.arg(number)))),
        })
        .collect()
}

/// `learn` while its parameters are read.
#[derive(Default)]
struct Draft {
    create: Vec<Template>,
    lookup: Vec<Template>,
    zone: Option<(Box<str>, usize)>,
    timeout: Option<Duration>,
    header: bool,
}

fn learn(scope: &mut Scope<'_>, directive: &Directive) -> Result<Learn, Fault> {
    let mut draft = Draft::default();
    for number in 2..=directive.args().len() {
        learn_parameter(scope, directive, number, &mut draft)?;
    }
    let missing = |name: &str| fault(1, &format!("\"{name}\" parameter is not specified"));
    if draft.lookup.is_empty() {
        return Err(missing("lookup"));
    }
    if draft.create.is_empty() {
        return Err(missing("create"));
    }
    let (zone, size) = draft.zone.ok_or_else(|| missing("zone"))?;
    claim(scope, directive, &zone, size)?;
    Ok(Learn {
        create: draft.create,
        lookup: draft.lookup,
        zone,
        sessions_max: sessions_in_zone(size as u64),
        timeout: draft.timeout.unwrap_or(Duration::from_secs(600)),
        header: draft.header,
    })
}

fn learn_parameter(
    scope: &mut Scope<'_>,
    directive: &Directive,
    number: usize,
    draft: &mut Draft,
) -> Result<(), Fault> {
    let text = directive.arg(number);
    match text.split_once('=') {
        Some((name @ ("create" | "lookup"), value)) => {
            if !value.starts_with('$') {
                return Err(fault(number, &format!("missing variable in the \"{name}\" parameter")));
            }
            let template = scope.template_of(directive, number, value)?;
            if name == "create" { draft.create.push(template) } else { draft.lookup.push(template) }
        }
        Some(("zone", _)) if draft.zone.is_some() => return Err(fault(number, "duplicate zone")),
        Some(("zone", value)) => draft.zone = Some(zone(number, value)?),
        Some(("timeout", _)) if draft.timeout.is_some() => return Err(fault(number, "duplicate timeout")),
        Some(("timeout", value)) => {
            let time = units::milliseconds(value).filter(|time| !time.is_zero());
            draft.timeout = Some(time.ok_or_else(|| fault(number, "invalid timeout"))?);
        }
        None if text == "header" => draft.header = true,
        None if text == "sync" => {
            let message = "the \"sync\" parameter of the \"sticky\" directive is not supported by Culvert: nothing is \
                           shared between machines";
            return Err(Fault::at(number, message));
        }
        _ => return Err(unknown(directive, number)),
    }
    Ok(())
}

fn zone(number: usize, text: &str) -> Result<(Box<str>, usize), Fault> {
    let (name, size) = text.split_once(':').ok_or_else(|| fault(number, "zone size is not specified"))?;
    if name.is_empty() {
        return Err(fault(number, "zone name is not specified"));
    }
    let size = units::size(size).ok_or_else(|| fault(number, "invalid zone size"))?;
    if size < super::zones::BYTES_MIN {
        return Err(fault(number, "zone is too small"));
    }
    Ok((name.into(), size))
}

/// A table of sessions belongs to one group.
fn claim(scope: &mut Scope<'_>, directive: &Directive, zone: &str, size: usize) -> Result<(), Fault> {
    scope.world.zones.declare(directive, zone, Some(size), "sticky")?;
    let has_it = |sticky: &Option<Sticky>| matches!(sticky, Some(Sticky::Learn(learn)) if *learn.zone == *zone);
    match scope.world.upstreams.iter().find(|known| has_it(&known.sticky)) {
        Some(known) => {
            Err(Fault::new(format!("sticky zone \"{zone}\" is already used in upstream \"{}\"", known.name)))
        }
        None => Ok(()),
    }
}
