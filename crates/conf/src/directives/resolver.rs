//! `resolver`: who turns names into addresses while the gateway runs.

use crate::address::{self, Host, Purpose};
use crate::config::{PeerAddr, Resolver};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("resolver", Contexts::HTTP_TO_LOCATION.and(Contexts::UPSTREAM), Arity::AtLeast(1), resolver).doc(
        "The name servers, with a port if it is not 53, that are asked for the names of servers with `resolve` and of a \
         `proxy_pass` with variables. `valid=TIME` overrides for how long an answer holds, `ipv4=off` and `ipv6=off` ask \
         for one family alone, `status_zone=NAME` names its statistics.",
    ),
    Row::new(
        "resolver_timeout",
        Contexts::HTTP_TO_LOCATION.and(Contexts::UPSTREAM),
        Arity::Exactly(1),
        |scope, directive| {
            let timeout = directive.milliseconds(1)?;
            match &mut scope.upstream {
                Some(group) => group.resolver_timeout = timeout,
                None => scope.location.resolver_timeout = timeout,
            }
            Ok(())
        },
    )
    .default("30s")
    .doc("How long resolving one name may take."),
];

const DNS_PORT: u16 = 53;

fn resolver(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut resolver = Resolver {
        servers: Vec::new(),
        valid: None,
        ipv4: true,
        ipv6: true,
        status_zone: None,
        place: directive.place.clone(),
    };
    for (index, word) in directive.args().iter().enumerate() {
        let number = index + 1;
        match parameter(&mut resolver, &word.text) {
            Some(true) => {}
            Some(false) => return Err(Fault::at(number, format!("invalid parameter: {}", word.text))),
            None => resolver.servers.push(name_server(number, &word.text)?),
        }
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        return Err(Fault::new("\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    if resolver.servers.is_empty() {
        return Err(Fault::new("no name servers defined"));
    }
    let resolver = Some(Arc::new(resolver));
    match &mut scope.upstream {
        Some(group) => group.resolver = resolver,
        None => scope.location.resolver = resolver,
    }
    Ok(())
}

/// Whether a parameter has a good value; `None` for a word that is no parameter.
fn parameter(resolver: &mut Resolver, text: &str) -> Option<bool> {
    let on_or_off = |value: &str, family: &mut bool| {
        *family = value == "on";
        matches!(value, "on" | "off")
    };
    Some(match text.split_once('=')? {
        ("valid", value) => match units::seconds(value) {
            Some(time) => {
                resolver.valid = Some(time).filter(|time| !time.is_zero());
                true
            }
            None => false,
        },
        ("ipv4", value) => on_or_off(value, &mut resolver.ipv4),
        ("ipv6", value) => on_or_off(value, &mut resolver.ipv6),
        ("status_zone", value) => {
            resolver.status_zone = Some(value.into());
            !value.is_empty()
        }
        _ => return None,
    })
}

fn name_server(number: usize, text: &str) -> Result<PeerAddr, Fault> {
    let fault = |why: &str| Fault::at(number, format!("{why} in resolver \"{text}\""));
    let address = address::parse(text, Purpose::Peer).map_err(fault)?;
    let port = address.port.unwrap_or(DNS_PORT);
    match address.host {
        Host::Name(host) if !host.contains(['=', '/', ' ']) => Ok(PeerAddr::Host(host, port)),
        Host::V6(ip) => Ok(PeerAddr::Host(ip.to_string(), port)),
        Host::Unix(_) => Err(fault("a name server has no unix domain socket")),
        Host::Name(_) | Host::Wildcard => Err(Fault::at(number, format!("host not found in resolver \"{text}\""))),
    }
}
