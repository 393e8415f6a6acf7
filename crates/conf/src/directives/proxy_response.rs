//! What becomes of the upstream's response, but for its redirects and cookies.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_force_ranges", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().response.force_ranges = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether ranges of a response are served although the upstream does not say that it has any."),
    Row::new("proxy_ignore_headers", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), ignore_headers).repeats().doc(
        "Headers of the upstream's response that are not acted upon: `X-Accel-Redirect`, `X-Accel-Limit-Rate`, \
         `X-Accel-Buffering` and `X-Accel-Charset`; also `X-Accel-Expires`, `Expires`, `Cache-Control`, `Set-Cookie` \
         and `Vary`, which are about caches only.",
    ),
    Row::new("proxy_limit_rate", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().response.limit_rate = scope.size_value(directive, 1)?;
        Ok(())
    })
    .default("0")
    .doc(
        "How many bytes of a response are read from the upstream per second, where `proxy_buffering` is on; 0 is without \
         limit. Variables are allowed.",
    ),
    Row::new("proxy_pass_trailers", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().response.pass_trailers = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc(
        "Whether the trailers of the upstream's response are passed on, to clients that say `TE: trailers`. The upstream \
         has to be told with `proxy_set_header Connection \"te\"` and `proxy_set_header TE \"trailers\"`, if it asks.",
    ),
];

fn ignore_headers(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut ignored = match scope.is_first(directive) {
        true => crate::config::IgnoredHeaders::default(),
        false => scope.location.proxy.response.ignore_headers,
    };
    for (index, word) in directive.args().iter().enumerate() {
        let switch = ignored.switch(&word.text).ok_or_else(|| directive.invalid_word(index + 1))?;
        if std::mem::replace(switch, true) {
            scope.warn(directive, Fault::at(index + 1, format!("duplicate value \"{}\"", word.text)));
        }
    }
    scope.proxy().response.ignore_headers = ignored;
    Ok(())
}
