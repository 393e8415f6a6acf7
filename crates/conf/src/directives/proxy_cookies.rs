//! `proxy_cookie_domain`, `proxy_cookie_path` and `proxy_cookie_flags`.

use crate::config::{CookieFlag, CookieFlagsRule, CookieName, CookieRule, ResponseShape};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use culvert_engine::pattern::Pattern;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_cookie_domain", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), domain)
        .repeats()
        .default("off")
        .doc(
            "How the `Domain` of the upstream's cookies is rewritten: from one domain to another, or after `~` from what a \
             regular expression matches in either case. Dots in front do not count. `off` leaves it alone; the first line \
             of a block replaces the inherited ones.",
        ),
    Row::new("proxy_cookie_flags", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 4), flags).repeats().default("off").doc(
        "Flags of the upstream's cookies: `secure`, `httponly`, `samesite=strict`, `samesite=lax` and `samesite=none` are \
         added, `nosecure`, `nohttponly` and `nosamesite` taken away. The first argument names the cookie, or after `~` \
         is a regular expression; the first line that fits is taken. `off` leaves them alone; the first line of a block \
         replaces the inherited ones.",
    ),
    Row::new("proxy_cookie_path", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), path)
        .repeats()
        .default("off")
        .doc(
            "How the `Path` of the upstream's cookies is rewritten: from a prefix or, after `~` or `~*`, a regular \
             expression to a replacement. `off` leaves it alone; the first line of a block replaces the inherited ones.",
        ),
];

type Rules<T> = fn(&mut ResponseShape) -> &mut Arc<[T]>;

/// Takes `off`, which stands alone in its block. True where that was all.
fn is_off<T>(scope: &mut Scope<'_>, directive: &Directive, rules: Rules<T>) -> Result<bool, Fault> {
    let is_first = scope.is_first(directive);
    let after_off = !is_first && rules(&mut scope.proxy().response).is_empty();
    if directive.args().len() > 1 && !after_off {
        return Ok(false);
    }
    if directive.args().len() == 1 && directive.arg(1) != "off" && !after_off {
        return Err(directive.invalid_parameter(1));
    }
    if !is_first {
        return Err(Fault::new(format!("\"{}\" directive is duplicate", directive.name())));
    }
    *rules(&mut scope.proxy().response) = Arc::new([]);
    Ok(true)
}

fn domain(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let rules: Rules<CookieRule> = |shape| &mut shape.cookie_domains;
    if is_off(scope, directive, rules)? {
        return Ok(());
    }
    let rule = match directive.arg(1).strip_prefix('~') {
        Some(source) => {
            let capturing = scope.capturing(directive, 1, source, true)?;
            regex(scope, directive, capturing)?
        }
        None => {
            let undotted = |number: usize| directive.arg(number).strip_prefix('.').unwrap_or(directive.arg(number));
            let from = scope.template_of(directive, 1, undotted(1))?;
            CookieRule::Text { from, to: scope.template_of(directive, 2, undotted(2))? }
        }
    };
    let is_first = scope.is_first(directive);
    push(rules(&mut scope.proxy().response), is_first, rule);
    Ok(())
}

fn path(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let rules: Rules<CookieRule> = |shape| &mut shape.cookie_paths;
    if is_off(scope, directive, rules)? {
        return Ok(());
    }
    let rule = match directive.arg(1).strip_prefix('~') {
        Some(source) => {
            let capturing = scope.capturing_behind_tilde(directive, 1, source)?;
            regex(scope, directive, capturing)?
        }
        None => CookieRule::Text { from: scope.template(directive, 1)?, to: scope.template(directive, 2)? },
    };
    let is_first = scope.is_first(directive);
    push(rules(&mut scope.proxy().response), is_first, rule);
    Ok(())
}

fn regex(
    scope: &mut Scope<'_>,
    directive: &Directive,
    (pattern, assigns): (Pattern, Vec<(usize, usize)>),
) -> Result<CookieRule, Fault> {
    Ok(CookieRule::Regex { pattern, to: scope.template(directive, 2)?, assigns })
}

fn flags(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let rules: Rules<CookieFlagsRule> = |shape| &mut shape.cookie_flags;
    if is_off(scope, directive, rules)? {
        return Ok(());
    }
    let cookie = match directive.arg(1).strip_prefix('~') {
        Some(source) => {
            let (pattern, assigns) = scope.capturing(directive, 1, source, true)?;
            CookieName::Regex { pattern, assigns }
        }
        None => CookieName::Text(scope.template(directive, 1)?),
    };
    for number in 2..=directive.args().len() {
        let text = directive.arg(number);
        if !text.contains('$') && CookieFlag::read(text.as_bytes()).is_none() {
            scope.warn(directive, Fault::at(number, format!("\"{text}\" is no flag of a cookie, ignored")));
        }
    }
    let numbers = 2..=directive.args().len();
    let flags: Result<Vec<_>, Fault> = numbers.map(|number| scope.template(directive, number)).collect();
    let rule = CookieFlagsRule { cookie, flags: flags? };
    let is_first = scope.is_first(directive);
    push(rules(&mut scope.proxy().response), is_first, rule);
    Ok(())
}
