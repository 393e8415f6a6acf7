//! `Set-Cookie` of the upstream: domain, path and flags as the configuration wants them (`proxy_cookie_domain`,
//! `proxy_cookie_path`, `proxy_cookie_flags`).

use crate::exchange::Exchange;
use culvert_conf::config::{CookieFlag, CookieFlagsRule, CookieName, CookieRule, Level};
use culvert_engine::pattern::Pattern;
use std::borrow::Cow;

/// A part of a cookie: the cookie itself, or an attribute.
struct Part<'v> {
    name: Cow<'v, [u8]>,
    value: Option<Cow<'v, [u8]>>,
}

/// What the upstream's `Set-Cookie` becomes; `None` where it stays as it is.
pub(super) fn rewrite(exchange: &Exchange, value: &[u8]) -> Option<Vec<u8>> {
    let rules = &exchange.location.proxy.response;
    if rules.cookie_domains.is_empty() && rules.cookie_paths.is_empty() && rules.cookie_flags.is_empty() {
        return None;
    }
    let mut parts: Vec<Part<'_>> = value.split(|&byte| byte == b';').map(part).collect();
    parts[0].value.as_ref()?;
    let mut changed = false;
    for Part { name, value } in &mut parts[1..] {
        let Some(value) = value else { continue };
        let replaced = match name.to_ascii_lowercase().as_slice() {
            b"domain" => rules.cookie_domains.iter().find_map(|rule| rewrite_domain(exchange, rule, value)),
            b"path" => rules.cookie_paths.iter().find_map(|rule| rewrite_path(exchange, rule, value)),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *value = Cow::Owned(replaced);
            changed = true;
        }
    }
    let rule = rules.cookie_flags.iter().find(|rule| is_about(exchange, rule, &parts[0].name));
    let flags = rule.map(|rule| flags(exchange, rule)).unwrap_or_default();
    if !flags.is_empty() {
        set_flags(&mut parts, &flags);
        changed = true;
    }
    changed.then(|| compose(&parts))
}

fn part(text: &[u8]) -> Part<'_> {
    let spaces = |&byte: &u8| byte == b' ';
    let trimmed = |text: &[u8]| {
        let start = text.iter().position(|byte| !spaces(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !spaces(byte)).map_or(start, |last| last + 1);
        start..end
    };
    let equals = text.iter().position(|&byte| byte == b'=');
    let name = &text[..equals.unwrap_or(text.len())];
    let value = equals.map(|at| &text[at + 1..]);
    Part { name: Cow::Borrowed(&name[trimmed(name)]), value: value.map(|value| Cow::Borrowed(&value[trimmed(value)])) }
}

fn compose(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, Part { name, value }) in parts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}

/// The whole domain is replaced, but for a dot in front of it.
fn rewrite_domain(exchange: &Exchange, rule: &CookieRule, value: &[u8]) -> Option<Vec<u8>> {
    match rule {
        CookieRule::Text { from, to } => {
            let (dot, domain) = value.split_at(usize::from(value.starts_with(b".")));
            domain.eq_ignore_ascii_case(&exchange.render(from)).then(|| [dot, &exchange.render(to)].concat())
        }
        CookieRule::Regex { pattern, to, assigns } => {
            matches(exchange, pattern, assigns, value).then(|| exchange.render(to))
        }
    }
}

/// The beginning of a path is replaced, or all of what an expression matches anywhere.
fn rewrite_path(exchange: &Exchange, rule: &CookieRule, value: &[u8]) -> Option<Vec<u8>> {
    match rule {
        CookieRule::Text { from, to } => {
            let rest = value.strip_prefix(&exchange.render(from)[..])?;
            Some([&exchange.render(to), rest].concat())
        }
        CookieRule::Regex { pattern, to, assigns } => {
            matches(exchange, pattern, assigns, value).then(|| exchange.render(to))
        }
    }
}

fn matches(exchange: &Exchange, pattern: &Pattern, assigns: &[(usize, usize)], text: &[u8]) -> bool {
    match pattern.captures(text) {
        Ok(Some(captures)) => {
            *exchange.captures.borrow_mut() = captures;
            exchange.assign(assigns);
            true
        }
        Ok(None) => false,
        Err(slow) => {
            exchange.log(Level::Error, format_args!("{slow} in the rules for cookies"));
            false
        }
    }
}

fn is_about(exchange: &Exchange, rule: &CookieFlagsRule, cookie: &[u8]) -> bool {
    match &rule.cookie {
        CookieName::Text(name) => cookie.eq_ignore_ascii_case(&exchange.render(name)),
        CookieName::Regex { pattern, assigns } => matches(exchange, pattern, assigns, cookie),
    }
}

/// The flags of a rule. Words that are none, which only variables can bring, count for nothing.
fn flags(exchange: &Exchange, rule: &CookieFlagsRule) -> Vec<CookieFlag> {
    rule.flags.iter().filter_map(|flag| CookieFlag::read(&exchange.render(flag))).collect()
}

/// A flag that is there stays where it is, a new one goes behind the others.
fn set_flags(parts: &mut Vec<Part<'_>>, flags: &[CookieFlag]) {
    let wants = |flag: CookieFlag| flags.contains(&flag);
    set_flag(parts, "Secure", wants(CookieFlag::Secure(true)), wants(CookieFlag::Secure(false)));
    set_flag(parts, "HttpOnly", wants(CookieFlag::HttpOnly(true)), wants(CookieFlag::HttpOnly(false)));
    let same_site = ["Strict", "Lax", "None"].into_iter().filter(|value| wants(CookieFlag::SameSite(value)));
    set_same_site(parts, same_site, wants(CookieFlag::NoSameSite));
}

fn set_flag(parts: &mut Vec<Part<'_>>, name: &'static str, on: bool, off: bool) {
    let is_it = |part: &Part<'_>| part.name.eq_ignore_ascii_case(name.as_bytes());
    let found = parts[1..].iter().any(is_it);
    if on && !found {
        parts.push(Part { name: Cow::Borrowed(name.as_bytes()), value: None });
    } else if off && !on {
        let mut index = 0;
        parts.retain(|part| {
            index += 1;
            index == 1 || !is_it(part)
        });
    }
}

/// Each `SameSite` that is there takes the next of the wanted values; the first one that is left goes behind the others.
fn set_same_site(parts: &mut Vec<Part<'_>>, mut wanted: impl Iterator<Item = &'static str>, off: bool) {
    const NAME: &[u8] = b"SameSite";
    let mut settled = 0;
    for part in parts[1..].iter_mut().filter(|part| part.name.eq_ignore_ascii_case(NAME)) {
        let Some(value) = wanted.next() else { break };
        settled += 1;
        if !part.value.as_ref().is_some_and(|old| old.eq_ignore_ascii_case(value.as_bytes())) {
            part.value = Some(Cow::Borrowed(value.as_bytes()));
        }
    }
    if let Some(value) = wanted.next() {
        parts.push(Part { name: Cow::Borrowed(NAME), value: Some(Cow::Borrowed(value.as_bytes())) });
    } else if off && settled == 0 {
        set_flag(parts, "SameSite", false, true);
    }
}
