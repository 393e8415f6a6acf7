//! A client's own address behind proxies: the one that the last trusted proxy names.

use std::net::{IpAddr, SocketAddr};

/// Finds the address behind `peer`, if `trusts` it. `values` are the header's lines, in the order in which they came.
///
/// The last address of the last line is taken; with `recursive` one after the other from the end, until one is not
/// trusted any more. `None`: the peer is not trusted, or names nobody. An address without a port has port 0.
pub fn real_address<'v>(
    peer: Option<IpAddr>,
    values: impl DoubleEndedIterator<Item = &'v [u8]>,
    recursive: bool,
    trusts: impl Fn(Option<IpAddr>) -> bool,
) -> Option<SocketAddr> {
    let mut found: Option<SocketAddr> = None;
    for value in values.rev() {
        let mut rest = value;
        while let Some((before, last)) = last_item(rest) {
            let named_by = found.map_or(peer, |found| Some(found.ip()));
            if !trusts(named_by) {
                return found;
            }
            let Some(address) = parse(last) else { return found };
            found = Some(address);
            if !recursive {
                return found;
            }
            rest = before;
        }
        // A last line that names nobody is not skipped.
        found?;
    }
    found
}

/// Takes the last word off a list that commas and spaces part.
fn last_item(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_mark = |b: &u8| matches!(b, b' ' | b',');
    let end = list.iter().rposition(|b| !is_mark(b))? + 1;
    let start = list[..end].iter().rposition(is_mark).map_or(0, |at| at + 1);
    Some((&list[..start], &list[start..end]))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; brackets want a port, as in nginx.
fn parse(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 0)),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Network;

    fn real(lines: &[&str], recursive: bool) -> Option<String> {
        let trusted = Network::parse("10.0.0.0/8").expect("a network").0;
        let peer = Some(IpAddr::from([10, 0, 0, 1]));
        let lines = lines.iter().map(|line| line.as_bytes());
        real_address(peer, lines, recursive, |ip| trusted.contains(ip)).map(|found| found.to_string())
    }

    #[test]
    fn the_last_address_is_the_clients() {
        assert_eq!(real(&["192.0.2.1"], false).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(real(&["192.0.2.1, 10.0.0.2"], false).as_deref(), Some("10.0.0.2:0"));
        assert_eq!(real(&["192.0.2.1, 10.0.0.2 , "], false).as_deref(), Some("10.0.0.2:0"));
        assert_eq!(real(&["192.0.2.1:4711"], false).as_deref(), Some("192.0.2.1:4711"));
        assert_eq!(real(&["2001:db8::1"], false).as_deref(), Some("[2001:db8::1]:0"));
        assert_eq!(real(&["[2001:db8::1]:80"], false).as_deref(), Some("[2001:db8::1]:80"));
        assert_eq!(real(&["192.0.2.1", "192.0.2.2"], false).as_deref(), Some("192.0.2.2:0"));
    }

    #[test]
    fn recursion_goes_on_to_the_first_address_that_is_not_trusted() {
        assert_eq!(real(&["1.1.1.1, 192.0.2.1, 10.0.0.2"], true).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(real(&["10.0.0.3,10.0.0.2"], true).as_deref(), Some("10.0.0.3:0"));
        assert_eq!(real(&["192.0.2.1", "10.0.0.2"], true).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(real(&["garbage, 10.0.0.2"], true).as_deref(), Some("10.0.0.2:0"));
    }

    #[test]
    fn nobody_is_found_where_nobody_is_named() {
        assert_eq!(real(&[], true), None);
        assert_eq!(real(&[" , "], true), None);
        assert_eq!(real(&["garbage"], false), None);
        assert_eq!(
            real_address(Some(IpAddr::from([192, 0, 2, 9])), [&b"1.1.1.1"[..]].into_iter(), false, |_| false),
            None
        );
    }
}
