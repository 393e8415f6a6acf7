//! The header by which the gateway itself names its client to a server (`proxy_protocol` of a location).

use super::V2_SIGNATURE;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
/// A stream over IPv4, over IPv6, and what has no address.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNSPEC: u8 = 0x00;

/// The line of version 1, for a connection from `client` that came in at `gateway`. Without both it says `UNKNOWN`.
pub fn version_1(client: Option<SocketAddr>, gateway: Option<SocketAddr>) -> Vec<u8> {
    let Some((client, gateway)) = one_family(client, gateway) else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), gateway.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), gateway.port()).into_bytes()
}

/// The header of version 2, the same.
pub fn version_2(client: Option<SocketAddr>, gateway: Option<SocketAddr>) -> Vec<u8> {
    let mut out = V2_SIGNATURE.to_vec();
    out.push(PROXY);
    let Some((client, gateway)) = one_family(client, gateway) else {
        out.extend([UNSPEC, 0, 0]);
        return out;
    };
    let (family, length) = if client.is_ipv4() { (TCP4, 12) } else { (TCP6, 36) };
    out.extend([family, 0, length]);
    for ip in [client.ip(), gateway.ip()] {
        match ip {
            IpAddr::V4(ip) => out.extend(ip.octets()),
            IpAddr::V6(ip) => out.extend(ip.octets()),
        }
    }
    out.extend(client.port().to_be_bytes());
    out.extend(gateway.port().to_be_bytes());
    out
}

/// Both addresses in one family. One that differs, as `real_ip_header` may bring it about, is mapped into IPv6.
fn one_family(client: Option<SocketAddr>, gateway: Option<SocketAddr>) -> Option<(SocketAddr, SocketAddr)> {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (client, gateway) = (canonical(client?), canonical(gateway?));
    if client.is_ipv4() == gateway.is_ipv4() {
        return Some((client, gateway));
    }
    let wide = |address: SocketAddr| SocketAddr::new(IpAddr::V6(mapped(address.ip())), address.port());
    Some((wide(client), wide(gateway)))
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn version_1_is_a_line() {
        let line = |client, gateway| String::from_utf8(version_1(client, gateway)).expect("ASCII");
        let v4 = address("192.0.2.1:1234");
        assert_eq!(line(v4, address("198.51.100.2:80")), "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n");
        assert_eq!(line(address("[::ffff:192.0.2.1]:1"), v4), "PROXY TCP4 192.0.2.1 192.0.2.1 1 1234\r\n");
        assert_eq!(line(address("[2001:db8::1]:1"), address("[::1]:2")), "PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
        assert_eq!(line(address("[2001:db8::1]:1"), v4), "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 1234\r\n");
        assert_eq!(line(None, v4), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let header = version_2(address("192.0.2.1:258"), address("198.51.100.2:80"));
        assert_eq!(header[..12], *b"\r\n\r\n\0\r\nQUIT\n");
        assert_eq!(header[12..], [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 1, 2, 0, 80]);
        assert_eq!(version_2(address("[::1]:1"), address("[::2]:2")).len(), 16 + 36);
        assert_eq!(version_2(None, None)[12..], [0x21, 0, 0, 0]);
    }
}
