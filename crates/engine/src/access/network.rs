//! A network as `allow`, `set_real_ip_from` and `geo` write it: `192.0.2.0/24`, `2001:db8::/32`, `unix:`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of client addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// IPv4: the address, without the bits that the mask leaves out, and how many bits count.
    V4(u32, u8),
    /// IPv6, in the same way.
    V6(u128, u8),
    /// All clients of unix sockets.
    Unix,
}

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkError;

impl Network {
    /// Reads `address` or `address/bits`. The second value says that bits beyond the mask were set, which nginx warns
    /// of: `low address bits of 192.0.2.1/24 are meaningless`.
    ///
    /// # Errors
    /// For anything else.
    pub fn parse(text: &str) -> Result<(Network, bool), NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(parse_bits(bits)?)),
            None => (text, None),
        };
        match address.parse::<IpAddr>().map_err(|_| NetworkError)? {
            IpAddr::V4(ip) => {
                let bits = bits.unwrap_or(32);
                let mask = mask(bits, 32)? as u32;
                Ok((Network::V4(u32::from(ip) & mask, bits), u32::from(ip) & !mask != 0))
            }
            IpAddr::V6(ip) => {
                let bits = bits.unwrap_or(128);
                let mask = mask(bits, 128)?;
                Ok((Network::V6(u128::from(ip) & mask, bits), u128::from(ip) & !mask != 0))
            }
        }
    }

    /// Whether a client belongs to it; `None` is a client of a unix socket. An IPv4 address in IPv6's clothes is one
    /// of IPv4.
    pub fn contains(&self, client: Option<IpAddr>) -> bool {
        match (self, client.map(|ip| ip.to_canonical())) {
            (Network::V4(network, bits), Some(IpAddr::V4(ip))) => {
                mask(*bits, 32).is_ok_and(|mask| u32::from(ip) & mask as u32 == *network)
            }
            (Network::V6(network, bits), Some(IpAddr::V6(ip))) => {
                mask(*bits, 128).is_ok_and(|mask| u128::from(ip) & mask == *network)
            }
            (Network::Unix, None) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::V4(ip, bits) => write!(f, "{}/{bits}", Ipv4Addr::from(*ip)),
            Network::V6(ip, bits) => write!(f, "{}/{bits}", Ipv6Addr::from(*ip)),
            Network::Unix => f.write_str("unix:"),
        }
    }
}

fn parse_bits(text: &str) -> Result<u8, NetworkError> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(NetworkError)
}

/// The mask of the first `bits` of an address that is `width` bits long.
fn mask(bits: u8, width: u8) -> Result<u128, NetworkError> {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    match bits {
        0 => Ok(0),
        _ if bits > width => Err(NetworkError),
        _ => Ok(all & !(all.checked_shr(bits.into()).unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).expect("a good network").0
    }

    fn contains(text: &str, ip: &str) -> bool {
        network(text).contains(Some(ip.parse().expect("an address")))
    }

    #[test]
    fn a_network_has_the_addresses_that_share_its_first_bits() {
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.1", "192.0.2.1") && !contains("192.0.2.1", "192.0.2.0"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("::/0", "::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"), "an IPv4 client of an IPv6 socket is one of IPv4");
        assert!(network("::1").contains(Some(IpAddr::V6(Ipv6Addr::LOCALHOST))));
        assert!(Network::Unix.contains(None) && !Network::Unix.contains(Some(IpAddr::V6(Ipv6Addr::LOCALHOST))));
        assert!(!network("0.0.0.0/0").contains(None));
    }

    #[test]
    fn bits_beyond_the_mask_mean_nothing_and_are_noticed() {
        assert_eq!(Network::parse("192.0.2.77/24"), Ok((Network::V4(0xc000_0200, 24), true)));
        assert_eq!(Network::parse("192.0.2.0/24").map(|(_, odd)| odd), Ok(false));
        assert_eq!(network("2001:db8::1/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "192.0.2", "192.0.2.1/33", "192.0.2.1/", "192.0.2.1/-1", "192.0.2.1/+1", "::/129", "a.b.c.d"] {
            assert_eq!(Network::parse(bad), Err(NetworkError), "{bad}");
        }
    }
}
