//! `charset` and its relations.

use super::types_list;
use crate::config::{Charsets, FilterSettings, Level, Location, Server};
use crate::diagnostic::{Diagnostic, Fault};
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use culvert_engine::charset::Table;
use culvert_engine::template::Template;
use std::sync::Arc;

/// What gets a character set without `charset_types`.
pub(crate) const TYPES: &[&str] =
    &["text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"];

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("charset", Contexts::HTTP_TO_IF, Arity::Exactly(1), |scope, directive| {
        let target = match directive.arg(1) {
            "off" => None,
            _ => Some(name(scope, directive)?),
        };
        scope.filters().charset.target = target;
        Ok(())
    })
    .default("off")
    .doc(
        "The character set that `Content-Type` names, and that a response is converted to if `source_charset` or the \
         upstream says that it has another.",
    ),
    Row::block("charset_map", Contexts::HTTP, Arity::Exactly(2), Phase::Value, charset_map).repeats().doc(
        "How one character set is converted to another and back: a line for each code of the first, in hexadecimal, with \
         that of the second. The second may be `utf-8`, whose codes are given byte by byte.",
    ),
    Row::new("charset_types", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), |scope, directive| {
        let types = scope.location.filters.charset.types.clone();
        scope.filters().charset.types = types_list::read(scope, directive, &types, TYPES)?;
        Ok(())
    })
    .repeats()
    .default("text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml")
    .doc("The content types that `charset` is for; `*` is all."),
    Row::new("override_charset", Contexts::HTTP_TO_IF, Arity::Flag, |scope, directive| {
        scope.filters().charset.overrides = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether `charset` replaces what the upstream says of its response's character set."),
    Row::new("source_charset", Contexts::HTTP_TO_IF, Arity::Exactly(1), |scope, directive| {
        let source = name(scope, directive)?;
        scope.filters().charset.source = Some(source);
        Ok(())
    })
    .doc("The character set that a response has which does not name its own."),
];

/// A name, or one variable.
fn name(scope: &mut Scope<'_>, directive: &Directive) -> Result<Template, Fault> {
    let text = directive.arg(1);
    if text.starts_with('$') {
        return scope.template(directive, 1);
    }
    scope.world.charsets.names.insert(text.to_ascii_lowercase());
    Ok(Template::literal(text.to_owned()))
}

fn charset_map(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let (from, to) = (directive.arg(1), directive.arg(2));
    let (source, target) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
    if source == target {
        return Err(Fault::new(format!("\"charset_map\" between the same charsets \"{from}\" and \"{to}\"")));
    }
    let charsets = &mut scope.world.charsets;
    charsets.names.extend([source.clone(), target.clone()]);
    if charsets.table.contains_key(&(source.clone(), target.clone())) {
        return Err(Fault::new(format!("duplicate \"charset_map\" between \"{from}\" and \"{to}\"")));
    }
    let is_utf8 = target == "utf-8";
    let mut codes = Vec::new();
    for line in directive.items() {
        match read_code(line, is_utf8) {
            Ok(code) => codes.push(code),
            Err(fault) => scope.fault(line, fault),
        }
    }
    let charsets: &mut Charsets = &mut scope.world.charsets;
    let (forth, back) = if is_utf8 { Table::with_utf8(&codes) } else { Table::of_bytes(&codes) };
    charsets.table.insert((source.clone(), target.clone()), Arc::new(forth));
    charsets.table.insert((target, source), Arc::new(back));
    Ok(())
}

/// One line: a byte, and the bytes that it becomes.
fn read_code(line: &Directive, is_utf8: bool) -> Result<(u8, Vec<u8>), Fault> {
    if line.args().len() != 1 || line.block.is_some() {
        return Err(Fault::new("invalid parameters number"));
    }
    let invalid = |number: usize, text: &str| Fault::at(number, format!("invalid value \"{text}\""));
    let hex = |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let source = hex(line.name()).ok_or_else(|| invalid(0, line.name()))?;
    let text = line.arg(1);
    let bytes: Option<Vec<u8>> = match is_utf8 {
        false => hex(text).map(|byte| vec![byte]),
        true if text.len() / 2 > 3 || !text.is_ascii() => None,
        true => text.as_bytes().chunks(2).map(|pair| hex(std::str::from_utf8(pair).ok()?)).collect(),
    };
    let bytes =
        bytes.filter(|bytes| !is_utf8 || std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1));
    Ok((source, bytes.ok_or_else(|| invalid(1, text))?))
}

/// Refuses conversions that no `charset_map` tells how to do.
pub(crate) fn check(world: &mut World) {
    let mut missing: Vec<(String, String)> = Vec::new();
    let servers = world.servers.iter();
    let locations = servers.flat_map(|server: &Arc<Server>| server.locations.iter().chain([&server.root]));
    for location in locations {
        if let Some(pair) = wanted(location).filter(|pair| !world.charsets.table.contains_key(pair))
            && !missing.contains(&pair)
        {
            missing.push(pair);
        }
    }
    for (source, target) in missing {
        let message = format!("no \"charset_map\" between the charsets \"{source}\" and \"{target}\"");
        let (level, order) = (Level::Emerg, usize::MAX);
        world.diagnostics.push(Diagnostic { level, message, place: None, span: None, suggestion: None, order });
    }
}

fn wanted(location: &Location) -> Option<(String, String)> {
    let filters: &FilterSettings = &location.filters;
    let text = |name: &Option<Template>| {
        let name = name.as_ref()?.as_literal()?;
        Some(String::from_utf8_lossy(name).to_ascii_lowercase())
    };
    let pair = (text(&filters.charset.source)?, text(&filters.charset.target)?);
    (pair.0 != pair.1).then_some(pair)
}
