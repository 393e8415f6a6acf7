//! `set_real_ip_from`, `real_ip_header` and `real_ip_recursive`.

use crate::config::{RealIpHeader, Trusted};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use culvert_engine::access::Network;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("set_real_ip_from", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), from).repeats().doc(
        "Whom to believe about a client's address: a network, `unix:`, or a host name that is resolved at the start. The \
         first line of a block replaces the inherited ones.",
    ),
    Row::new("real_ip_header", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.real_ip().header = match directive.arg(1) {
            "X-Forwarded-For" => RealIpHeader::ForwardedFor,
            "proxy_protocol" => RealIpHeader::ProxyProtocol,
            name => RealIpHeader::Line(name.to_ascii_lowercase().into()),
        };
        Ok(())
    })
    .default("X-Real-IP")
    .doc(
        "What names the client's address, if its neighbour is trusted: a header, `X-Forwarded-For` whose last address \
         counts, or `proxy_protocol`. From then on it is the client's address for everything; `$realip_remote_addr` \
         keeps the neighbour's.",
    ),
    Row::new("real_ip_recursive", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.real_ip().recursive = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether the last address that is not trusted counts, instead of the last one."),
];

fn from(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let trusted = match (text, Network::parse(text)) {
        ("unix:", _) => Trusted::Network(Network::Unix),
        (_, Ok((network, is_odd))) => {
            if is_odd {
                scope.warn(directive, Fault::at(1, format!("low address bits of {text} are meaningless")));
            }
            Trusted::Network(network)
        }
        (_, Err(_)) if text.contains('/') || text.is_empty() => {
            return Err(Fault::at(1, format!("host not found in set_real_ip_from \"{text}\"")));
        }
        (_, Err(_)) => Trusted::Host(text.into(), directive.place.clone()),
    };
    let is_first = scope.is_first(directive);
    push(&mut scope.real_ip().from, is_first, trusted);
    Ok(())
}
