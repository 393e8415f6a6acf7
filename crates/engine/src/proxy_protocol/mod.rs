//! The PROXY protocol, as a gateway in front of us speaks it: a header before the first byte of a connection that says
//! whose connection it is. Version 1 is a line, version 2 is binary
//! (<https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>).

pub mod write;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; `None` where the header names none (`UNKNOWN`, `LOCAL`).
    pub source: Option<SocketAddr>,
    /// The address that the client connected to.
    pub destination: Option<SocketAddr>,
    /// Version 2's further fields: type, length, value.
    pub tlvs: Box<[u8]>,
}

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A header of so many bytes.
    Whole(ProxyHeader, usize),
    /// The beginning of one.
    Partial,
    /// None.
    Broken,
}

/// The longest header of version 1, its line end included.
const V1_BYTES_MAX: usize = 107;

/// nginx's bound on a header of version 2 (NGX_PROXY_PROTOCOL_MAX_HEADER).
pub const HEADER_BYTES_MAX: usize = 4096;

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part of version 2: signature, version and command, family and transport, length.
const V2_FIXED_BYTES: usize = 16;

/// Reads a header at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed {
    let common = bytes.len().min(V2_SIGNATURE.len());
    if bytes[..common] == V2_SIGNATURE[..common] {
        return if common < V2_SIGNATURE.len() { Parsed::Partial } else { parse_v2(bytes) };
    }
    const V1: &[u8] = b"PROXY ";
    let common = bytes.len().min(V1.len());
    if bytes[..common] != V1[..common] {
        return Parsed::Broken;
    }
    match bytes.iter().take(V1_BYTES_MAX).position(|&b| b == b'\n') {
        Some(end) => match bytes[..end].strip_suffix(b"\r").and_then(|line| parse_v1(&line[V1.len()..])) {
            Some(header) => Parsed::Whole(header, end + 1),
            None => Parsed::Broken,
        },
        None if bytes.len() >= V1_BYTES_MAX => Parsed::Broken,
        None => Parsed::Partial,
    }
}

/// `TCP4 source destination port port`, or `UNKNOWN` and anything.
fn parse_v1(line: &[u8]) -> Option<ProxyHeader> {
    if line.starts_with(b"UNKNOWN") {
        return Some(ProxyHeader::default());
    }
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let is_v4 = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || words.next()?.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == is_v4);
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok();
    let (source_port, destination_port) = (port()?, port()?);
    words.next().is_none().then(|| ProxyHeader {
        source: Some(SocketAddr::new(source, source_port)),
        destination: Some(SocketAddr::new(destination, destination_port)),
        tlvs: Box::default(),
    })
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else { return Parsed::Partial };
    let (version, command, family, transport) = (fixed[12] >> 4, fixed[12] & 15, fixed[13] >> 4, fixed[13] & 15);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if version != 2 || V2_FIXED_BYTES + length > HEADER_BYTES_MAX {
        return Parsed::Broken;
    }
    let Some(body) = rest.get(..length) else { return Parsed::Partial };
    let whole = |header| Parsed::Whole(header, V2_FIXED_BYTES + length);
    // What is not said on behalf of a client, or not about TCP, has nothing to tell: nginx takes it without a word.
    if command != 1 || transport != 1 {
        return whole(ProxyHeader::default());
    }
    let (addresses, tlvs) = match family {
        1 => (v2_addresses(body, 4, |ip| <[u8; 4]>::try_from(ip).ok().map(|ip| Ipv4Addr::from(ip).into())), 12),
        2 => (v2_addresses(body, 16, |ip| <[u8; 16]>::try_from(ip).ok().map(|ip| Ipv6Addr::from(ip).into())), 36),
        _ => return whole(ProxyHeader::default()),
    };
    match addresses {
        Some((source, destination)) => {
            whole(ProxyHeader { source: Some(source), destination: Some(destination), tlvs: body[tlvs..].into() })
        }
        None => Parsed::Broken,
    }
}

fn v2_addresses(
    body: &[u8],
    length: usize,
    address: impl Fn(&[u8]) -> Option<IpAddr>,
) -> Option<(SocketAddr, SocketAddr)> {
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let source = address(body.get(..length)?)?;
    let destination = address(body.get(length..2 * length)?)?;
    Some((SocketAddr::new(source, port(2 * length)?), SocketAddr::new(destination, port(2 * length + 2)?)))
}

impl ProxyHeader {
    /// The value of a field by the name that `$proxy_protocol_tlv_*` has for it: `alpn`, `authority`, `unique_id`, `ssl`,
    /// `netns`, `ssl_version`, `ssl_cn`, `ssl_cipher`, `ssl_sig_alg`, `ssl_key_alg`, `ssl_verify`, or a number such as
    /// `0xea`.
    pub fn tlv(&self, name: &str) -> Option<Vec<u8>> {
        if let Some(member) = name.strip_prefix("ssl_") {
            return self.ssl_tlv(member);
        }
        let kind = match name {
            "aws_vpce_id" => return find(&self.tlvs, 0xea)?.strip_prefix(&[1]).map(<[u8]>::to_vec),
            "azure_pel_id" => {
                let link = find(&self.tlvs, 0xee)?.strip_prefix(&[1])?;
                return Some(u32::from_le_bytes(link.try_into().ok()?).to_string().into_bytes());
            }
            "gcp_conn_id" => {
                let connection = find(&self.tlvs, 0xe0)?;
                return Some(u64::from_be_bytes(connection.try_into().ok()?).to_string().into_bytes());
            }
            "alpn" => 0x01,
            "authority" => 0x02,
            "unique_id" => 0x05,
            "ssl" => 0x20,
            "netns" => 0x30,
            _ => u8::from_str_radix(name.strip_prefix("0x")?, 16).ok()?,
        };
        find(&self.tlvs, kind).map(<[u8]>::to_vec)
    }

    fn ssl_tlv(&self, member: &str) -> Option<Vec<u8>> {
        /// One byte of flags and four of the verification's result.
        const SSL_FIXED_BYTES: usize = 5;
        let (fixed, inner) = find(&self.tlvs, 0x20)?.split_at_checked(SSL_FIXED_BYTES)?;
        let kind = match member {
            "verify" => {
                let result = u32::from_be_bytes(fixed[1..].try_into().expect("four bytes follow the flags"));
                return Some(result.to_string().into_bytes());
            }
            "version" => 0x21,
            "cn" => 0x22,
            "cipher" => 0x23,
            "sig_alg" => 0x24,
            "key_alg" => 0x25,
            _ => u8::from_str_radix(member.strip_prefix("0x")?, 16).ok()?,
        };
        find(inner, kind).map(<[u8]>::to_vec)
    }
}

/// The value of the first field of a kind.
fn find(mut fields: &[u8], kind: u8) -> Option<&[u8]> {
    loop {
        let (&[found, high, low], rest) = fields.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        if found == kind {
            return Some(value);
        }
        fields = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn header(source: &str, destination: &str) -> ProxyHeader {
        let parse = |text: &str| Some(text.parse().expect("an address"));
        ProxyHeader { source: parse(source), destination: parse(destination), tlvs: Box::default() }
    }

    #[test]
    fn version_1_is_a_line() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\nGET /";
        assert_eq!(parse(line), Parsed::Whole(header("192.0.2.1:4711", "198.51.100.2:80"), 43));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(parse(line), Parsed::Whole(header("[2001:db8::1]:1", "[::1]:65535"), line.len()));
        let line = b"PROXY UNKNOWN ignored\r\n";
        assert_eq!(parse(line), Parsed::Whole(ProxyHeader::default(), line.len()));
        for bad in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Parsed::Broken, "{bad}");
        }
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Parsed::Broken);
    }

    #[test]
    fn version_2_is_binary_and_may_have_fields() {
        let body = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 80, 2, 0, 3, b'f', b'o', b'o'];
        let bytes = v2(1, 0x11, &body);
        let Parsed::Whole(found, length) = parse(&bytes) else { panic!("a header") };
        assert_eq!(length, bytes.len());
        assert_eq!(found.source, Some("192.0.2.1:4711".parse().expect("an address")));
        assert_eq!(found.tlv("authority").as_deref(), Some(&b"foo"[..]));
        assert_eq!(found.tlv("0x02").as_deref(), Some(&b"foo"[..]));
        assert_eq!((found.tlv("alpn"), found.tlv("0x"), found.tlv("colour")), (None, None, None));
        let local = v2(0, 0, b"");
        assert_eq!(parse(&local), Parsed::Whole(ProxyHeader::default(), local.len()));
        assert_eq!(parse(&v2(1, 0x11, &[1, 2, 3])), Parsed::Broken);
        assert_eq!(parse(&v2(1, 0x11, &[0; 4090])), Parsed::Broken);
    }

    #[test]
    fn what_a_client_s_tls_was_is_inside_a_field() {
        let ssl = [&[7, 0, 0, 0, 1][..], &[0x21, 0, 7], b"TLSv1.3", &[0x22, 0, 1], b"x"].concat();
        let length = u8::try_from(ssl.len()).expect("short");
        let tlvs = [&[0x20, 0, length][..], &ssl].concat().into();
        let header = ProxyHeader { tlvs, ..ProxyHeader::default() };
        assert_eq!(header.tlv("ssl_version").as_deref(), Some(&b"TLSv1.3"[..]));
        assert_eq!(header.tlv("ssl_cn").as_deref(), Some(&b"x"[..]));
        assert_eq!(header.tlv("ssl_verify").as_deref(), Some(&b"1"[..]));
        assert_eq!(header.tlv("ssl_cipher"), None);
    }

    proptest! {
        #[test]
        fn a_header_cut_anywhere_is_partial(cut in 0_usize..60) {
            for whole in [&b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n"[..], &v2(1, 0x21, &[1; 40])] {
                if cut < whole.len() {
                    prop_assert_eq!(parse(&whole[..cut]), Parsed::Partial);
                }
            }
        }

        #[test]
        fn hostile_bytes_are_read_without_a_panic(rest in prop::collection::vec(any::<u8>(), 0..100), tail: Vec<u8>) {
            let _ = parse(&rest);
            let _ = parse(&[&b"PROXY "[..], &rest].concat());
            let _ = parse(&[&V2_SIGNATURE[..], &rest].concat());
            let header = ProxyHeader { tlvs: tail.into(), ..ProxyHeader::default() };
            for name in ["ssl_cn", "ssl_verify", "0x20", "alpn"] {
                let _ = header.tlv(name);
            }
        }
    }
}
