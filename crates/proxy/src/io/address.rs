//! Addresses as text, as often as every request asks for them: without the formatting machinery for the four numbers of an
//! IPv4 address, which costs a request more than its routing does.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Writes an IP address as [`fmt::Display`] has it.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write_ip(out: &mut impl fmt::Write, ip: IpAddr) -> fmt::Result {
    let IpAddr::V4(ip) = ip else { return write!(out, "{ip}") };
    for (nth, octet) in ip.octets().into_iter().enumerate() {
        if nth > 0 {
            out.write_char('.')?;
        }
        out.write_str(itoa::Buffer::new().format(octet))?;
    }
    Ok(())
}

/// Writes an address with its port.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write_socket_addr(out: &mut impl fmt::Write, addr: SocketAddr) -> fmt::Result {
    if addr.is_ipv6() {
        return write!(out, "{addr}");
    }
    write_ip(out, addr.ip())?;
    out.write_char(':')?;
    out.write_str(itoa::Buffer::new().format(addr.port()))
}

/// An IP address as text. A v4 address that came over v6 is written as what it is.
pub(crate) fn ip_text(ip: IpAddr) -> String {
    let mut text = String::with_capacity("255.255.255.255".len());
    // A string takes whatever is written to it.
    let _ = write_ip(&mut text, ip.to_canonical());
    text
}

/// The two ends of a client connection, as log lines end with them where there is no request yet.
pub(crate) fn ends(remote: Option<SocketAddr>, local: Option<SocketAddr>) -> String {
    let client = remote.map_or_else(|| UNIX.to_owned(), |remote| ip_text(remote.ip()));
    let server = local.map_or_else(|| UNIX.to_owned(), |local| local.to_string());
    format!("client: {client}, server: {server}")
}

/// What stands for an address of a unix socket, which has none.
const UNIX: &str = "unix:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0:0", "127.0.0.1:8020", "255.255.255.255:65535", "[::1]:80", "[2001:db8::7]:443"] {
            let addr: SocketAddr = text.parse().expect("an address");
            let (mut with_port, mut ip) = (String::new(), String::new());
            write_socket_addr(&mut with_port, addr).expect("strings take all");
            write_ip(&mut ip, addr.ip()).expect("strings take all");
            assert_eq!((with_port, ip), (text.to_owned(), addr.ip().to_string()));
        }
        assert_eq!(ip_text("::ffff:10.1.2.3".parse().expect("an address")), "10.1.2.3");
    }
}
