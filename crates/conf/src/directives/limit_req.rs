//! `limit_req_zone`, `limit_req` and their relations.

use super::zones;
use crate::config::{Level, Refusal, RequestLimit, Zone};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("limit_req_zone", Contexts::HTTP, Arity::Exactly(3), zone).repeats().doc(
        "Counts requests by a key, at most `rate=Nr/s` or `rate=Nr/m` of each: `key zone=NAME:SIZE rate=RATE`. All \
         workers count together, and go on over reloads. The zone's size bounds how many keys are known; the one that \
         was used longest ago makes room.",
    ),
    Row::new("limit_req", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 3), limit).repeats().doc(
        "Holds requests to the rate of a zone: `zone=NAME`, and `burst=N` of them are delayed instead of refused, the \
         first `delay=N` not even delayed; with `nodelay` none is. Several lines hold together. The first line of a block \
         replaces the inherited ones.",
    ),
    Row::new("limit_req_dry_run", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.limits().request_refusal.dry_run = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Counts and says what `limit_req` would do, and does nothing."),
    Row::new("limit_req_log_level", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let level = level(directive)?;
        scope.limits().request_refusal.level = level;
        Ok(())
    })
    .default("error")
    .doc("The level of the line about a refused request: `info`, `notice`, `warn` or `error`. A delay is told one lower."),
    Row::new("limit_req_status", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let status = status(directive)?;
        scope.limits().request_refusal.status = status;
        Ok(())
    })
    .default("503")
    .doc("The status of a refused request."),
];

/// What holds where nothing is said of refusals.
pub(crate) const REFUSAL: Refusal = Refusal { level: Level::Error, status: 503, dry_run: false };

/// The level of `limit_…_log_level`.
pub(super) fn level(directive: &Directive) -> Result<Level, Fault> {
    match directive.arg(1) {
        "info" => Ok(Level::Info),
        "notice" => Ok(Level::Notice),
        "warn" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        _ => Err(directive.invalid_word(1)),
    }
}

/// The status of `limit_…_status`.
pub(super) fn status(directive: &Directive) -> Result<u16, Fault> {
    match directive.number(1)? {
        status @ 400..=599 => Ok(status as u16),
        _ => Err(Fault::at(1, "value must be between 400 and 599")),
    }
}

fn zone(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let key = scope.template(directive, 1)?;
    let (mut named, mut rate) = (None, 1000);
    for number in 2..=directive.args().len() {
        let text = directive.arg(number);
        if text.starts_with("zone=") {
            named = Some(zone_of(directive, number)?);
        } else if let Some(written) = text.strip_prefix("rate=") {
            rate = rate_of(written).ok_or_else(|| Fault::at(number, format!("invalid rate \"{text}\"")))?;
        } else {
            return Err(directive.invalid_parameter(number));
        }
    }
    let (name, bytes) = named.ok_or_else(|| must_have_zone(directive))?;
    scope.world.zones.declare(directive, &name, Some(bytes), "limit_req")?;
    let key_text = directive.arg(1).into();
    let place = Some(directive.place.clone());
    bind(&mut scope.world.tables.request_zones, directive, Zone { name, key, key_text, bytes, rate, place })
}

/// A rate in thousandths of a request per second.
fn rate_of(text: &str) -> Option<u64> {
    let (number, scale) = match (text.strip_suffix("r/s"), text.strip_suffix("r/m")) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => (text, 1),
    };
    let rate = units::number(number).filter(|&rate| rate > 0)?;
    Some(rate.checked_mul(1000)? / scale)
}

/// `zone=NAME:SIZE`.
pub(super) fn zone_of(directive: &Directive, number: usize) -> Result<(Box<str>, usize), Fault> {
    let text = directive.arg(number);
    let invalid = || Fault::at(number, format!("invalid zone size \"{text}\""));
    let (name, size) = text["zone=".len()..].split_once(':').ok_or_else(invalid)?;
    let size = units::size(size).ok_or_else(invalid)?;
    if size < zones::BYTES_MIN {
        return Err(Fault::at(number, format!("zone \"{text}\" is too small")));
    }
    if name.is_empty() {
        return Err(must_have_zone(directive));
    }
    Ok((name.into(), size))
}

/// nginx's words for a directive without its zone.
pub(super) fn must_have_zone(directive: &Directive) -> Fault {
    Fault::new(format!("\"{}\" must have \"zone\" parameter", directive.name()))
}

/// Defines a zone, which may have been referred to already.
pub(super) fn bind(zones: &mut Vec<Zone>, directive: &Directive, zone: Zone) -> Result<(), Fault> {
    match zones.iter_mut().find(|known| known.name == zone.name) {
        Some(known) if known.place.is_some() => {
            let (directive, name, key) = (directive.name(), &known.name, &known.key_text);
            Err(Fault::new(format!("{directive} \"{name}\" is already bound to key \"{key}\"")))
        }
        Some(known) => {
            *known = zone;
            Ok(())
        }
        None => {
            zones.push(zone);
            Ok(())
        }
    }
}

/// The number of a zone that may be defined later.
pub(super) fn refer(zones: &mut Vec<Zone>, name: &str) -> usize {
    zones.iter().position(|known| &*known.name == name).unwrap_or_else(|| {
        let (key, key_text) = (Default::default(), Box::default());
        zones.push(Zone { name: name.into(), key, key_text, bytes: 0, rate: 1, place: None });
        zones.len() - 1
    })
}

fn limit(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let (mut name, mut burst, mut delay) = (None, 0, 0);
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        let count = |written: &str| {
            let count = units::number(written).filter(|&count| count > 0);
            count.and_then(|count| count.checked_mul(1000))
        };
        match text.split_once('=').unwrap_or((text, "")) {
            ("zone", written) if text.contains('=') => name = Some(written),
            ("burst", written) if text.contains('=') => {
                burst = count(written).ok_or_else(|| Fault::at(number, format!("invalid burst value \"{text}\"")))?;
            }
            ("delay", written) if text.contains('=') => {
                delay = count(written).ok_or_else(|| Fault::at(number, format!("invalid delay value \"{text}\"")))?;
            }
            ("nodelay", "") if text == "nodelay" => delay = u64::MAX,
            _ => return Err(directive.invalid_parameter(number)),
        }
    }
    let name = name.ok_or_else(|| must_have_zone(directive))?;
    scope.world.zones.declare(directive, name, None, "limit_req")?;
    let zone = refer(&mut scope.world.tables.request_zones, name);
    let is_first = scope.is_first(directive);
    if !is_first && scope.location.limits.requests.iter().any(|limit| limit.zone == zone) {
        return Err(Fault::new("\"limit_req\" directive is duplicate"));
    }
    push(&mut scope.limits().requests, is_first, RequestLimit { zone, burst, delay });
    Ok(())
}
