//! As whom a request goes to its server: from which address (`proxy_bind`), and in whose name (`proxy_protocol`).

use crate::exchange::Exchange;
use crate::upstream::{Source, Way};
use culvert_conf::config::{Bind, BindAddress, Level, ProxyProtocol};
use culvert_engine::proxy_protocol::write;

/// Gives `way` what the location says about both, which is nothing as a rule.
pub(super) fn settle(exchange: &Exchange, way: &mut Way) {
    let connect = &exchange.location.proxy.connect;
    if connect.bind.is_none() && connect.protocol.is_none() {
        return;
    }
    let source = connect.bind.as_ref().and_then(|bind| source(exchange, bind));
    let (client, gateway) = (exchange.client.remote, exchange.client.local);
    let greeting = connect.protocol.map(|version| match version {
        ProxyProtocol::V1 => write::version_1(client, gateway),
        ProxyProtocol::V2 => write::version_2(client, gateway),
    });
    way.begin_as(source, greeting);
}

fn source(exchange: &Exchange, bind: &Bind) -> Option<Source> {
    let transparent = bind.transparent;
    let template = match &bind.address {
        BindAddress::Fixed(address) => return Some(Source { address: *address, transparent }),
        BindAddress::Rendered(template) => template,
    };
    let text = String::from_utf8_lossy(&exchange.render(template)).into_owned();
    let address = BindAddress::read(&text);
    if address.is_none() && !text.is_empty() {
        exchange.log(Level::Error, format_args!("invalid local address \"{text}\""));
    }
    address.map(|address| Source { address, transparent })
}
