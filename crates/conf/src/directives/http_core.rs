//! Directives of the HTTP core that concern a response or the connection as a whole.

use crate::config::ServerTokens;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("absolute_redirect", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.absolute_redirect = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether redirects made by the gateway name scheme and host."),
    Row::new("error_log", HTTP_BLOCKS, Arity::AtLeast(1), super::log::error_log).repeats().doc(
        "As in the main context, for what concerns requests of this block. The first line of a block replaces the \
         inherited ones.",
    ),
    Row::new("log_not_found", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.log_not_found = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether the error log notes what was not found."),
    Row::new("port_in_redirect", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.port_in_redirect = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether absolute redirects made by the gateway name the port."),
    Row::new("server_name_in_redirect", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.server_name_in_redirect = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether absolute redirects made by the gateway name the first `server_name` instead of the request's host."),
    Row::new("server_tokens", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), server_tokens).default("on").doc(
        "What the `Server` header and error pages tell: `on` name and version, `off` the name, `build` the build \
             as well. As in the commercial edition it may be a text with variables (`server_tokens \"edge $hostname\"`), \
             recognised by a variable, a blank or a slash in it; an empty one leaves the header out.",
    ),
    Row::new("tcp_nodelay", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.tcp_nodelay = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether small packets are sent at once (`TCP_NODELAY`), as WebSocket messages want it."),
];

const HTTP_BLOCKS: Contexts = Contexts::HTTP_TO_LOCATION;

fn server_tokens(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.location.server_tokens = match directive.arg(1) {
        "on" => ServerTokens::On,
        "off" => ServerTokens::Off,
        "build" => ServerTokens::Build,
        // The commercial edition takes any text; a bare word is more likely a mistake, and stock nginx refuses it.
        text if text.is_empty() || text.contains(['$', ' ', '/']) => ServerTokens::Text(scope.template(directive, 1)?),
        _ => return Err(directive.invalid_word(1)),
    };
    Ok(())
}
