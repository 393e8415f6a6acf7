//! Values as text. What these return is whether there is a value.

use crate::io::address::ip_text;
use crate::observe::clock;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(super) fn put(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| put_some(out, value))
}

pub(super) fn put_some(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    true
}

pub(super) fn put_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    write(out);
    true
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64) -> bool {
    put_some(out, itoa::Buffer::new().format(number).as_bytes())
}

pub(super) fn put_seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    clock::write_millis(out, time.as_millis());
    true
}

/// A try's time; a dash where it never came so far.
pub(super) fn put_time(out: &mut Vec<u8>, time: Option<Duration>) -> bool {
    match time {
        Some(time) => put_seconds(out, time),
        None => put_some(out, b"-"),
    }
}

pub(super) fn put_ip(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr {
        Some(addr) => put_some(out, ip_text(addr.ip()).as_bytes()),
        None => put_some(out, b"unix:"),
    }
}

pub(super) fn put_port(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr {
        // An address that a header named may have no port.
        Some(addr) if addr.port() == 0 => put_some(out, b""),
        Some(addr) => put_number(out, addr.port().into()),
        None => put_some(out, b""),
    }
}

pub(super) fn put_binary(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr.map(|addr| addr.ip().to_canonical()) {
        Some(IpAddr::V4(ip)) => put_some(out, &ip.octets()),
        Some(IpAddr::V6(ip)) => put_some(out, &ip.octets()),
        None => put_some(out, b"unix:"),
    }
}
