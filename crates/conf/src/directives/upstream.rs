//! `upstream` blocks as a whole: their state's name, who waits for a server, and what connections are kept.

use crate::config::{QueueSettings, Upstream};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::balance::Method;
use std::time::Duration;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::block("upstream", Contexts::HTTP, Arity::Exactly(1), Phase::Definition, upstream).repeats().doc(
        "A group of servers that `proxy_pass` can name. Requests are shared out by smooth weighted round robin, unless \
         the block says another method. All worker threads share one count of what each server carries, and it \
         survives a reload.",
    ),
    Row::new("zone", Contexts::UPSTREAM, Arity::Between(1, 2), zone).repeats().doc(
        "Names the state of the group, with the size of its shared memory in nginx. Nothing depends on it here: the \
         state is always shared by all worker threads, and takes what memory it needs.",
    ),
    Row::new("queue", Contexts::UPSTREAM, Arity::Between(1, 2), queue).doc(
        "How many requests may wait while every server that is up has its `max_conns`, and with `timeout=TIME` for how \
         long (60 s). A request that finds the queue full, or waits for too long, is answered 502.",
    ),
    Row::new("keepalive", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        let count = units::number(directive.arg(1)).filter(|&count| count > 0).and_then(|n| usize::try_from(n).ok());
        let message = || format!("invalid value \"{}\" in \"keepalive\" directive", directive.arg(1));
        group(scope).keepalive = count.ok_or_else(|| Fault::at(1, message()))?;
        Ok(())
    })
    .doc(
        "How many idle connections to the group's servers one worker thread keeps. Without it none; nginx needs \
         `proxy_http_version 1.1` and an empty `Connection` header for it to have an effect.",
    ),
    Row::new("keepalive_requests", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_requests = directive.number(1)?;
        Ok(())
    })
    .default("1000")
    .doc("How many requests one kept connection may carry."),
    Row::new("keepalive_time", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_time = directive.milliseconds(1)?;
        Ok(())
    })
    .default("1h")
    .doc("The age at which a kept connection is closed after its next response."),
    Row::new("keepalive_timeout", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a kept connection may idle."),
];

/// The group that this block is.
pub(super) fn group<'s>(scope: &'s mut Scope<'_>) -> &'s mut Upstream {
    scope.upstream.as_mut().expect("these rows are found in upstream blocks only")
}

fn upstream(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1).to_owned();
    let is_known = scope.world.upstreams.iter().any(|known| known.name.eq_ignore_ascii_case(&name));
    let mut child = scope.child(Contexts::UPSTREAM);
    let mut empty = Upstream::new(name.clone(), false, directive.place.clone());
    empty.resolver.clone_from(&child.location.resolver);
    empty.resolver_timeout = child.location.resolver_timeout;
    child.upstream = Some(empty);
    child.walk(directive.items());
    let has_lines = child.has("server");
    let upstream = child.upstream.take().expect("it was put here above");
    if is_known {
        return Err(Fault::at(1, format!("duplicate upstream \"{name}\"")));
    }
    if !has_lines {
        scope.fault_at_close(directive, "no servers are inside upstream");
    } else if upstream.servers.iter().all(|server| server.spec.backup) && !upstream.servers.is_empty() {
        return Err(Fault::at(1, format!("no servers in upstream \"{name}\"")));
    }
    if upstream.resolver.is_none() && upstream.servers.iter().any(|server| server.resolve) {
        let message = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
        return Err(Fault::at(1, message).hint("a \"resolver\" may stand in this block or in http"));
    }
    warn_of_returns(scope, directive, &upstream);
    scope.world.upstreams.push(upstream);
    Ok(())
}

/// Clients that `rebalance` sends away come back to where they were if something binds them to it.
fn warn_of_returns(scope: &mut Scope<'_>, directive: &Directive, upstream: &Upstream) {
    let binds = match (&upstream.sticky, upstream.method) {
        (Some(_), _) => "sticky",
        (None, Method::IpHash) => "ip_hash",
        (None, Method::Hash { .. }) => "hash",
        _ => return,
    };
    if upstream.rebalance.rate == 0 {
        return;
    }
    let line = directive.items().iter().find(|item| item.name() == "rebalance").unwrap_or(directive);
    let message = format!("\"{binds}\" leads the clients that \"rebalance\" sends away back to the same server");
    scope.warn(line, Fault::new(message));
}

fn zone(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1);
    if name.is_empty() {
        return Err(Fault::at(1, "invalid zone name \"\""));
    }
    let size = match directive.args().get(1) {
        Some(size) => {
            let invalid = || Fault::at(2, format!("invalid zone size \"{}\"", size.text));
            Some(units::size(&size.text).ok_or_else(invalid)?)
        }
        None => None,
    };
    scope.world.zones.declare(directive, name, size, "upstream")?;
    group(scope).zone = Some(name.into());
    Ok(())
}

fn queue(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let length = units::number(directive.arg(1)).filter(|&length| length > 0).and_then(|n| usize::try_from(n).ok());
    let length_max = length.ok_or_else(|| directive.invalid_word(1))?;
    let timeout = match directive.args().get(1) {
        None => Duration::from_secs(60),
        Some(word) => {
            let time = word.text.strip_prefix("timeout=").and_then(units::milliseconds).filter(|time| !time.is_zero());
            time.ok_or_else(|| directive.invalid_parameter(2))?
        }
    };
    group(scope).queue = Some(QueueSettings { length_max, timeout });
    Ok(())
}
