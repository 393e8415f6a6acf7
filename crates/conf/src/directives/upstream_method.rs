//! How an upstream chooses among its servers: a row per method.

use super::upstream::group;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::balance::{Method, Metric, Rival};
use culvert_engine::template::Template;

/// The rows of this file. They repeat, since nginx only warns of a second method.
pub(crate) const ROWS: &[Row] = &[
    Row::new("hash", Contexts::UPSTREAM, Arity::Between(1, 2), hash).repeats().doc(
        "The same server for the same key, such as `$request_uri` or `$arg_room`, as long as the servers stay the same. \
         With `consistent` a server that comes or goes moves few keys (ketama, with nginx's placement). Allows no \
         `backup` and no `slow_start`.",
    ),
    Row::new("ip_hash", Contexts::UPSTREAM, Arity::Exactly(0), |scope, directive| {
        choose(scope, directive, Method::IpHash, None);
        Ok(())
    })
    .repeats()
    .doc(
        "The same server for clients of the same network: the first three octets of an IPv4 address, or a whole IPv6 \
         address. Allows no `backup` and no `slow_start`.",
    ),
    Row::new("least_conn", Contexts::UPSTREAM, Arity::Exactly(0), |scope, directive| {
        choose(scope, directive, Method::LeastConn, None);
        Ok(())
    })
    .repeats()
    .doc(
        "The server with the fewest live requests and tunnels for its weight, those of all worker threads counted; \
         equal ones take turns.",
    ),
    Row::new("least_time", Contexts::UPSTREAM, Arity::Between(1, 2), least_time).repeats().doc(
        "The quickest server for its load and weight: by the time to its response's `header`, or to the `last_byte`; for \
         a tunnel both are the time to the answer to the handshake. With `inflight` requests that still wait count for as \
         long as they have waited.",
    ),
    Row::new("random", Contexts::UPSTREAM, Arity::Between(0, 2), random).repeats().doc(
        "A server at random, by weight. `two` draws two and takes the better one: `least_conn` (if nothing follows), \
         `least_time=header` or `least_time=last_byte`. Allows no `backup` and no `slow_start`.",
    ),
];

/// What nginx takes for a method, so that a further one is said to redefine it.
const METHODS: &[&str] = &["hash", "ip_hash", "keepalive", "least_conn", "least_time", "queue", "random", "sticky"];

fn choose(scope: &mut Scope<'_>, directive: &Directive, method: Method, hash_key: Option<Template>) {
    let is_second =
        METHODS.iter().any(|&name| scope.has(name) && (name != directive.name() || !scope.is_first(directive)));
    if is_second {
        scope.warn(directive, Fault::new("load balancing method redefined"));
    }
    let group = group(scope);
    group.method = method;
    group.hash_key = hash_key;
}

fn hash(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let key = scope.template(directive, 1)?;
    let consistent = match directive.args().get(1) {
        None => false,
        Some(word) if word.text == "consistent" => true,
        Some(_) => return Err(directive.invalid_parameter(2)),
    };
    choose(scope, directive, Method::Hash { consistent }, Some(key));
    Ok(())
}

fn least_time(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let metric = metric(directive.arg(1)).ok_or_else(|| directive.invalid_parameter(1))?;
    let inflight = match directive.args().get(1) {
        None => false,
        Some(word) if word.text == "inflight" => true,
        Some(_) => return Err(directive.invalid_parameter(2)),
    };
    choose(scope, directive, Method::LeastTime { metric, inflight }, None);
    Ok(())
}

fn random(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let words: Vec<&str> = directive.args().iter().map(|word| word.text.as_str()).collect();
    let method = match *words.as_slice() {
        [] => Method::Random,
        ["two"] | ["two", "least_conn"] => Method::RandomTwo(Rival::LeastConn),
        ["two", rival] => {
            let metric = rival.strip_prefix("least_time=").and_then(metric);
            Method::RandomTwo(Rival::LeastTime(metric.ok_or_else(|| directive.invalid_parameter(2))?))
        }
        _ => return Err(directive.invalid_parameter(1)),
    };
    choose(scope, directive, method, None);
    Ok(())
}

fn metric(word: &str) -> Option<Metric> {
    match word {
        "header" => Some(Metric::Header),
        "last_byte" => Some(Metric::LastByte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Meaning, meaning};

    #[test]
    fn every_method_and_what_nginx_takes_for_one_is_a_directive_of_upstream() {
        for row in ROWS {
            assert!(METHODS.contains(&row.name), "{}", row.name);
        }
        for name in METHODS {
            let Some(Meaning::Works(rows)) = meaning(name) else { panic!("{name} does not work") };
            assert!(rows.iter().any(|row| row.contexts.meets(Contexts::UPSTREAM)), "{name}");
        }
    }
}
