//! `allow`, `deny`, `satisfy` and `auth_delay`.

use crate::config::AccessRule;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use culvert_engine::access::Network;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("allow", ACCESS_BLOCKS, Arity::Exactly(1), |scope, directive| rule(scope, directive, true)).repeats().doc(
        "Lets a network pass: an address, `address/bits`, `unix:` or `all`. The rules are asked in their order, and \
             the first that fits decides. The first line of a block replaces the inherited ones.",
    ),
    Row::new("deny", ACCESS_BLOCKS, Arity::Exactly(1), |scope, directive| rule(scope, directive, false))
        .repeats()
        .doc("Turns a network away with 403; otherwise as `allow`."),
    Row::new("satisfy", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.access().satisfy_any = match directive.arg(1) {
            "all" => false,
            "any" => true,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("all")
    .doc("Whether address, password and subrequest all have to let a request pass, or `any` of them is enough."),
    Row::new("auth_delay", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.access().auth_delay = directive.milliseconds(1)?;
        Ok(())
    })
    .default("0s")
    .doc("How long a 401 waits, so that guessing passwords takes its time."),
];

/// Where rules of access may stand.
pub(super) const ACCESS_BLOCKS: Contexts = Contexts::HTTP_TO_LOCATION.and(Contexts::LIMIT_EXCEPT);

fn rule(scope: &mut Scope<'_>, directive: &Directive, allow: bool) -> Result<(), Fault> {
    let network = match directive.arg(1) {
        "all" => None,
        _ => Some(network(scope, directive, 1, "parameter")?),
    };
    // The two names are one list.
    let count = ["allow", "deny"].iter().map(|name| scope.times_seen(name)).sum::<usize>();
    push(&mut scope.access().rules, count == 1, AccessRule { network, allow });
    Ok(())
}

/// A network that is an argument; `what` is nginx's word for it.
pub(super) fn network(
    scope: &mut Scope<'_>,
    directive: &Directive,
    number: usize,
    what: &str,
) -> Result<Network, Fault> {
    let text = directive.arg(number);
    if text == "unix:" {
        return Ok(Network::Unix);
    }
    let (network, is_odd) =
        Network::parse(text).map_err(|_| Fault::at(number, format!("invalid {what} \"{text}\"")))?;
    if is_odd {
        scope.warn(directive, Fault::at(number, format!("low address bits of {text} are meaningless")));
    }
    Ok(network)
}
