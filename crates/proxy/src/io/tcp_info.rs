//! What the kernel knows of a TCP connection: round-trip times and windows.

use nix::libc;
use nix::{getsockopt_impl, sockopt_impl};
use std::os::fd::AsFd;

sockopt_impl!(
    /// `TCP_INFO`, see tcp(7).
    Info,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// The part of `struct tcp_info` that variables show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpInfo {
    /// Microseconds.
    pub(crate) rtt: u32,
    /// Microseconds.
    pub(crate) rttvar: u32,
    /// Segments.
    pub(crate) snd_cwnd: u32,
    /// Bytes.
    pub(crate) rcv_space: u32,
}

/// Asks the kernel; `None` for a socket that is none of TCP.
pub(super) fn of<F: AsFd>(socket: &F) -> Option<TcpInfo> {
    let info = nix::sys::socket::getsockopt(socket, Info).ok()?;
    let libc::tcp_info { tcpi_rtt, tcpi_rttvar, tcpi_snd_cwnd, tcpi_rcv_space, .. } = info;
    Some(TcpInfo { rtt: tcpi_rtt, rttvar: tcpi_rttvar, snd_cwnd: tcpi_snd_cwnd, rcv_space: tcpi_rcv_space })
}
