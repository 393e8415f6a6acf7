//! Compression: `gzip`, `gunzip` and `gzip_static`.

use super::types_list;
use crate::config::{GzipProxied, GzipStatic};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;

/// What is compressed without `gzip_types`.
pub(crate) const TYPES: &[&str] = &["text/html"];

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("gunzip", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.filters().gunzip = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether what is compressed with gzip is decompressed for clients that don't take it."),
    Row::new("gzip", Contexts::HTTP_TO_IF, Arity::Flag, |scope, directive| {
        scope.filters().gzip.on = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc(
        "Whether responses with status 200, 403 or 404 are compressed for clients that take gzip. What the upstream \
         sends in pieces goes out in pieces: the compressor is emptied whenever nothing more is there.",
    ),
    Row::new("gzip_comp_level", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), comp_level)
        .default("1")
        .doc("How hard is tried, from 1 to 9."),
    Row::new("gzip_disable", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), disable).repeats().doc(
        "Expressions, in any case: clients whose `User-Agent` matches one get nothing compressed. `msie6` stands for \
         Internet Explorer 4 to 6.",
    ),
    Row::new("gzip_http_version", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.filters().gzip.http_1_0 = match directive.arg(1) {
            "1.0" => true,
            "1.1" => false,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("1.1")
    .doc("The lowest version of HTTP that a client must speak."),
    Row::new("gzip_min_length", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.filters().gzip.length_min = directive.size(1)? as u64;
        Ok(())
    })
    .default("20")
    .doc("The shortest response that is compressed, after its `Content-Length`."),
    Row::new("gzip_proxied", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), proxied).repeats().default("off").doc(
        "Which responses to requests that came through a proxy (with a `Via`) are compressed: `off` none, `any` all, or \
         those with one of `expired`, `no-cache`, `no-store`, `private`, `no_last_modified`, `no_etag`, `auth`.",
    ),
    Row::new("gzip_static", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.files().gzip_static = match directive.arg(1) {
            "off" => GzipStatic::Off,
            "on" => GzipStatic::On,
            "always" => GzipStatic::Always,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("off")
    .doc(
        "Whether `FILE.gz` is sent for a file, where it exists: `on` to clients that take gzip (after `gzip_proxied`, \
         `gzip_disable` and `gzip_http_version`), `always` to all, with `gunzip` for those that don't.",
    ),
    Row::new("gzip_types", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), |scope, directive| {
        let types = scope.location.filters.gzip.types.clone();
        scope.filters().gzip.types = types_list::read(scope, directive, &types, TYPES)?;
        Ok(())
    })
    .repeats()
    .doc("The content types that are compressed, besides `text/html`; `*` is all."),
    Row::new("gzip_vary", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.filters().gzip.vary = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether responses that are compressed for some clients say `Vary: Accept-Encoding`."),
];

fn comp_level(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.filters().gzip.level = match u32::try_from(directive.number(1)?) {
        Ok(level @ 1..=9) => level,
        _ => return Err(Fault::at(1, "value must be between 1 and 9")),
    };
    Ok(())
}

fn disable(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_first = scope.is_first(directive);
    let mut patterns = Vec::new();
    let mut msie6 = !is_first && scope.location.filters.gzip.disabled_for_msie6;
    for number in 1..=directive.args().len() {
        match directive.arg(number) {
            "msie6" => msie6 = true,
            // nginx's own name for a switch that stock builds do not have.
            "degradation" => {}
            source => patterns.push(scope.pattern(number, source, true)?),
        }
    }
    let gzip = &mut scope.filters().gzip;
    gzip.disabled_for_msie6 = msie6;
    if is_first {
        gzip.disabled_for = patterns.into();
    } else {
        patterns.into_iter().for_each(|pattern| push(&mut gzip.disabled_for, false, pattern));
    }
    Ok(())
}

fn proxied(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut found = match scope.is_first(directive) {
        true => GzipProxied::default(),
        false => scope.location.filters.gzip.proxied,
    };
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        let flag = match text {
            "off" => continue,
            "any" => &mut found.any,
            "expired" => &mut found.expired,
            "no-cache" => &mut found.no_cache,
            "no-store" => &mut found.no_store,
            "private" => &mut found.private,
            "no_last_modified" => &mut found.no_last_modified,
            "no_etag" => &mut found.no_etag,
            "auth" => &mut found.auth,
            _ => return Err(directive.invalid_word(number)),
        };
        if std::mem::replace(flag, true) {
            scope.warn(directive, Fault::at(number, format!("duplicate value \"{text}\"")));
        }
    }
    if directive.args().iter().any(|word| word.text == "off") {
        found = GzipProxied::default();
    }
    scope.filters().gzip.proxied = found;
    Ok(())
}
