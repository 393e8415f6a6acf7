//! `allow` and `deny`.

use super::Opinion;
use crate::exchange::Exchange;
use culvert_conf::config::{AccessSettings, Level};

/// The first rule that fits the client's address decides.
pub(super) fn ask(exchange: &Exchange, access: &AccessSettings) -> Opinion {
    let client = exchange.client.remote.map(|address| address.ip());
    let rule = access.rules.iter().find(|rule| rule.network.is_none_or(|network| network.contains(client)));
    match rule {
        None => Opinion::None,
        Some(rule) if rule.allow => Opinion::Pass,
        Some(_) => {
            if !access.satisfy_any {
                exchange.log(Level::Error, "access forbidden by rule");
            }
            Opinion::Refuse(403)
        }
    }
}
