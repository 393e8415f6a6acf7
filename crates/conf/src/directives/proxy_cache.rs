//! `proxy_cache…`: checked as nginx checks it, and accepted without a cache. Every response comes from the upstream.
//!
//! Half of all recipes for WebSockets have `proxy_cache_bypass $http_upgrade`: a configuration with a cache runs, and
//! `-t` says once what it runs without.

use super::zones::BYTES_MIN;
use crate::config::{Level, Place};
use crate::diagnostic::{Diagnostic, Fault};
use crate::registry::{Arity, Contexts, Row, Setter};
use crate::scope::Scope;
use crate::source::Span;
use crate::syntax::Directive;
use crate::units;
use std::path::PathBuf;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    row("proxy_cache", Arity::Exactly(1), cache).default("off").doc(
        "Names the cache of a location. Culvert keeps none: every response comes from the upstream, \
         `$upstream_cache_status` is `BYPASS`, and `-t` says so once.",
    ),
    row("proxy_cache_background_update", Arity::Flag, flag).default("off").doc(WITHOUT),
    row("proxy_cache_bypass", Arity::AtLeast(1), templates).repeats().doc(WITHOUT),
    row("proxy_cache_convert_head", Arity::Flag, flag).default("on").doc(WITHOUT),
    row("proxy_cache_key", Arity::Exactly(1), templates).default("$scheme$proxy_host$request_uri").doc(WITHOUT),
    row("proxy_cache_lock", Arity::Flag, flag).default("off").doc(WITHOUT),
    row("proxy_cache_lock_age", Arity::Exactly(1), time).default("5s").doc(WITHOUT),
    row("proxy_cache_lock_timeout", Arity::Exactly(1), time).default("5s").doc(WITHOUT),
    row("proxy_cache_max_range_offset", Arity::Exactly(1), |_, directive| directive.offset(1).map(drop)).doc(WITHOUT),
    row("proxy_cache_methods", Arity::AtLeast(1), |scope, directive| words(scope, directive, METHODS))
        .repeats()
        .default("GET HEAD")
        .doc(WITHOUT),
    row("proxy_cache_min_uses", Arity::Exactly(1), |_, directive| directive.number(1).map(drop))
        .default("1")
        .doc(WITHOUT),
    Row::new("proxy_cache_path", Contexts::HTTP, Arity::AtLeast(2), path)
        .repeats()
        .doc("Where a cache would be, its zone, and how it would be kept. Its parameters are checked; nothing is made there."),
    row("proxy_cache_purge", Arity::AtLeast(1), templates).doc(WITHOUT),
    row("proxy_cache_revalidate", Arity::Flag, flag).default("off").doc(WITHOUT),
    row("proxy_cache_use_stale", Arity::AtLeast(1), |scope, directive| words(scope, directive, STALE))
        .repeats()
        .default("off")
        .doc(WITHOUT),
    row("proxy_cache_valid", Arity::AtLeast(1), valid).repeats().doc(WITHOUT),
    row("proxy_no_cache", Arity::AtLeast(1), templates).repeats().doc(WITHOUT),
];

const WITHOUT: &str = "Checked, and without effect: there is no cache. See `proxy_cache`.";

const METHODS: &[&str] = &["GET", "HEAD", "POST"];

const STALE: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "updating",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "off",
];

const NO_CACHE: &str = "Culvert keeps no cache: every response comes from the upstream";

const fn row(name: &'static str, args: Arity, set: Setter) -> Row {
    Row::new(name, Contexts::HTTP_TO_LOCATION, args, set)
}

/// What the lines of a configuration say about caches, for the checks between them.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    zones: Vec<String>,
    paths: Vec<(PathBuf, Place)>,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    zone: String,
    place: Place,
    span: Span,
    order: usize,
}

impl Caches {
    /// A diagnostic for each `proxy_cache` whose zone no `proxy_cache_path` defines.
    pub(crate) fn finish(self) -> impl Iterator<Item = Diagnostic> {
        let Caches { zones, wanted, .. } = self;
        wanted.into_iter().filter(move |wanted| !zones.contains(&wanted.zone)).map(|wanted| Diagnostic {
            level: Level::Emerg,
            message: format!("\"proxy_cache\" zone \"{}\" is unknown", wanted.zone),
            place: Some(wanted.place),
            span: Some(wanted.span),
            suggestion: None,
            order: wanted.order,
        })
    }
}

fn cache(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let is_on = text != "off";
    scope.proxy().response.cache = is_on;
    if !is_on {
        return Ok(());
    }
    if text.contains('$') {
        scope.template(directive, 1)?;
    } else {
        let (place, span) = (directive.place.clone(), directive.words[1].span);
        scope.world.caches.wanted.push(Wanted { zone: text.to_owned(), place, span, order: directive.order });
    }
    if !scope.world.diagnostics.iter().any(|said| said.message == NO_CACHE) {
        scope.warn(directive, Fault::new(NO_CACHE));
    }
    Ok(())
}

fn path(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut zone = None;
    for (index, word) in directive.args().iter().enumerate().skip(1) {
        let number = index + 1;
        match word.text.split_once('=') {
            Some(("keys_zone", value)) => zone = keys_zone(directive, number, value)?,
            Some((name, value)) => parameter(directive, number, name, value)?,
            None => return Err(directive.invalid_parameter(number)),
        }
    }
    let zone = zone.ok_or_else(|| Fault::new("\"proxy_cache_path\" must have \"keys_zone\" parameter"))?;
    if scope.world.caches.zones.contains(&zone) {
        return Err(Fault::new(format!("duplicate zone \"{zone}\"")));
    }
    let path = scope.path(directive.arg(1));
    if let Some((_, place)) = scope.world.caches.paths.iter().find(|(known, _)| *known == path) {
        return Err(Fault::at(1, format!("the same path name \"{}\" used in {place} and", path.display())));
    }
    scope.world.caches.zones.push(zone);
    scope.world.caches.paths.push((path, directive.place.clone()));
    Ok(())
}

/// The name in `name:size`; nothing where it is empty.
fn keys_zone(directive: &Directive, number: usize, value: &str) -> Result<Option<String>, Fault> {
    let text = directive.arg(number);
    let (name, size) = value.split_once(':').unwrap_or((value, ""));
    let size = units::size(size).ok_or_else(|| Fault::at(number, format!("invalid keys zone size \"{text}\"")))?;
    if size < 2 * BYTES_MIN / 8 {
        return Err(Fault::at(number, format!("keys zone \"{text}\" is too small")));
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

fn parameter(directive: &Directive, number: usize, name: &str, value: &str) -> Result<(), Fault> {
    let text = directive.arg(number);
    let is_good = match name {
        "levels" if is_levels(value) => true,
        "levels" => return Err(Fault::at(number, format!("invalid \"levels\" \"{text}\""))),
        "use_temp_path" if matches!(value, "on" | "off") => true,
        "use_temp_path" => {
            let message = format!("invalid use_temp_path value \"{text}\", it must be \"on\" or \"off\"");
            return Err(Fault::at(number, message));
        }
        "inactive" => units::seconds(value).is_some(),
        "max_size" | "min_free" => units::offset(value).is_some(),
        "loader_files" | "manager_files" | "purger_files" => units::number(value).is_some(),
        "loader_sleep" | "loader_threshold" | "manager_sleep" | "manager_threshold" | "purger_sleep"
        | "purger_threshold" => units::milliseconds(value).is_some(),
        "purger" => matches!(value, "on" | "off"),
        _ => return Err(directive.invalid_parameter(number)),
    };
    match is_good {
        true => Ok(()),
        false => Err(Fault::at(number, format!("invalid {name} value \"{text}\""))),
    }
}

/// Up to three levels of one or two characters.
fn is_levels(value: &str) -> bool {
    let mut levels = value.split(':');
    levels.clone().count() <= 3 && levels.all(|level| matches!(level, "1" | "2"))
}

fn flag(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    directive.flag(1).map(drop)
}

fn time(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    directive.milliseconds(1).map(drop)
}

fn templates(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    (1..=directive.args().len()).try_for_each(|number| scope.template(directive, number).map(drop))
}

fn words(scope: &mut Scope<'_>, directive: &Directive, known: &[&str]) -> Result<(), Fault> {
    for (index, word) in directive.args().iter().enumerate() {
        let is = |other: &str| word.text.eq_ignore_ascii_case(other);
        if !known.iter().any(|known| is(known)) {
            return Err(directive.invalid_word(index + 1));
        }
        if directive.args()[..index].iter().any(|before| is(&before.text)) {
            scope.warn(directive, Fault::at(index + 1, format!("duplicate value \"{}\"", word.text)));
        }
    }
    Ok(())
}

fn valid(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let last = directive.args().len();
    if units::seconds(directive.arg(last)).is_none() {
        return Err(Fault::at(last, format!("invalid time value \"{}\"", directive.arg(last))));
    }
    for number in 1..last {
        let text = directive.arg(number);
        if text != "any" && !units::number(text).is_some_and(|status| (100..600).contains(&status)) {
            return Err(Fault::at(number, format!("invalid status \"{text}\"")));
        }
    }
    Ok(())
}
