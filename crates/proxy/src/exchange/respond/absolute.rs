//! `Location` of a path becomes an address (`absolute_redirect`, `server_name_in_redirect`, `port_in_redirect`).

use crate::exchange::{Exchange, route};

/// Makes a path of this server an address, where `absolute_redirect` says so.
pub(in crate::exchange) fn absolute(exchange: &Exchange, location: Vec<u8>) -> Vec<u8> {
    let conf = &exchange.location;
    if !conf.absolute_redirect || location.first() != Some(&b'/') {
        return location;
    }
    let scheme = exchange.client.scheme();
    let mut address = format!("{scheme}://").into_bytes();
    let usual = if scheme == "https" { 443 } else { 80 };
    if conf.server_name_in_redirect {
        address.extend_from_slice(route::name_of(&exchange.server).as_bytes());
    } else if !exchange.request.host.is_empty() {
        address.extend_from_slice(&exchange.request.host);
    } else if let Some(local) = exchange.client.local {
        let ip = local.ip().to_canonical();
        let text = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        address.extend_from_slice(text.as_bytes());
    }
    if let Some(port) =
        exchange.client.local.map(|local| local.port()).filter(|&port| conf.port_in_redirect && port != usual)
    {
        address.extend_from_slice(format!(":{port}").as_bytes());
    }
    address.extend_from_slice(&location);
    address
}
