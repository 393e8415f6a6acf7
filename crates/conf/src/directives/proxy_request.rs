//! What a request to the upstream is made of, and from where it is sent.

use crate::config::{Bind, BindAddress, ProxyProtocol};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_bind", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), bind).doc(
        "The local address, with an optional port, that connections to the upstream come from; variables are allowed, \
         and an empty value binds nothing. Without a port the kernel chooses one as late as it can \
         (`IP_BIND_ADDRESS_NO_PORT`), so that ports do not run out at 28,000. `transparent` allows addresses that are \
         not this machine's, which takes `CAP_NET_ADMIN` or `CAP_NET_RAW` and routes for the answers. `off` cancels \
         what is inherited.",
    ),
    Row::new("proxy_method", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().request.method = Some(scope.template(directive, 1)?);
        Ok(())
    })
    .doc("The method that the upstream is asked with, instead of the client's."),
    Row::new("proxy_pass_request_body", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().request.pass_body = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether the client's body is passed on. Without it no `Content-Length` is sent either."),
    Row::new("proxy_pass_request_headers", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy().request.pass_headers = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether the client's headers are passed on."),
    Row::new("proxy_protocol", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), protocol).own().default("off").doc(
        "Whether a connection to the upstream begins with a PROXY protocol header that names the client: `on` or `v1` \
         for the line of text, `v2` for the binary form. Such a connection speaks for one client, so it is never kept \
         for another.",
    ),
    Row::new("proxy_set_body", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy().request.set_body = Some(scope.template(directive, 1)?);
        Ok(())
    })
    .doc("The body that is sent to the upstream instead of the client's."),
];

fn bind(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    if directive.args().len() == 1 && text == "off" {
        scope.proxy().connect.bind = None;
        return Ok(());
    }
    let address = match text.contains('$') {
        true => BindAddress::Rendered(scope.template(directive, 1)?),
        false => {
            let invalid = || Fault::at(1, format!("invalid address \"{text}\""));
            BindAddress::Fixed(BindAddress::read(text).ok_or_else(invalid)?)
        }
    };
    let transparent = match directive.args().get(1) {
        None => false,
        Some(word) if word.text == "transparent" => true,
        Some(_) => return Err(directive.invalid_parameter(2)),
    };
    scope.proxy().connect.bind = Some(Arc::new(Bind { address, transparent }));
    Ok(())
}

fn protocol(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.proxy().connect.protocol = match directive.arg(1) {
        "off" => None,
        "on" | "v1" => Some(ProxyProtocol::V1),
        "v2" => Some(ProxyProtocol::V2),
        _ => return Err(directive.invalid_word(1)),
    };
    Ok(())
}
