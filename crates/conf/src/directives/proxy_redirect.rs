//! `proxy_redirect`.

use crate::config::{Handler, ProxyRedirect, ProxyTarget, RedirectRule};
use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
use std::sync::Arc;

pub(crate) fn proxy_redirect(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_first = scope.is_first(directive);
    let duplicate = || Fault::new("\"proxy_redirect\" directive is duplicate");
    let so_far = match (&scope.location.proxy.redirect, is_first) {
        (_, true) => Vec::new(),
        (ProxyRedirect::Off, false) => return Err(duplicate()),
        (ProxyRedirect::Rules(rules), false) => rules.to_vec(),
    };
    if directive.args().len() == 1 && directive.arg(1) == "off" {
        if !is_first {
            return Err(duplicate());
        }
        scope.proxy().redirect = ProxyRedirect::Off;
        return Ok(());
    }
    let rule = rule(scope, directive)?;
    let rules: Arc<[RedirectRule]> = so_far.into_iter().chain([rule]).collect();
    scope.proxy().redirect = ProxyRedirect::Rules(rules);
    Ok(())
}

fn rule(scope: &mut Scope<'_>, directive: &Directive) -> Result<RedirectRule, Fault> {
    let text = directive.arg(1);
    if directive.args().len() == 1 {
        return if text == "default" { default(scope) } else { Err(directive.invalid_parameter(1)) };
    }
    let Some(source) = text.strip_prefix('~') else {
        return Ok(RedirectRule::Prefix(scope.template(directive, 1)?, scope.template(directive, 2)?));
    };
    let (pattern, assigns) = scope.capturing_behind_tilde(directive, 1, source)?;
    Ok(RedirectRule::Regex { pattern, replacement: scope.template(directive, 2)?, assigns })
}

fn default(scope: &Scope<'_>) -> Result<RedirectRule, Fault> {
    match &scope.location.handler {
        Handler::None | Handler::EmptyGif | Handler::StubStatus | Handler::Metrics => {
            Err(Fault::at(1, "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive"))
        }
        Handler::Proxy(pass) if matches!(pass.target, ProxyTarget::Variable(_)) => {
            Err(Fault::at(1, "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables"))
        }
        Handler::Proxy(_) => Ok(RedirectRule::Default),
    }
}
