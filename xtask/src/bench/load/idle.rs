//! WebSockets that say nothing.

use super::client::websockets;
use crate::bench::peer::Running;
use crate::bench::sample::Sample;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How many sockets are open before any is counted, so that what a process takes once is not counted with them.
pub(in crate::bench) const SOCKETS_BEFORE: usize = 200;

/// How long a proxy has for what it does after the last handshake: logs, sweeps, freeing.
const SETTLE: Duration = Duration::from_millis(500);

/// How long idle sockets are watched.
const WATCH: Duration = Duration::from_secs(10);

/// Opens idle WebSockets.
pub(in crate::bench) async fn open(address: SocketAddr, sockets: usize) -> Result<Vec<TcpStream>> {
    websockets(address, sockets).await
}

/// Waits until a proxy has done what it does after the last handshake.
pub(in crate::bench) async fn settle() {
    tokio::time::sleep(SETTLE).await;
}

/// What idle WebSockets weigh in the proxy's memory.
pub(super) async fn weigh(peer: &Running, sockets: usize) -> Result<Sample> {
    weigh_by(peer, sockets, async |count| open(peer.address, count).await).await
}

/// The same of WebSockets that are opened otherwise.
pub(super) async fn weigh_by<T>(
    peer: &Running,
    sockets: usize,
    open: impl AsyncFn(usize) -> Result<T>,
) -> Result<Sample> {
    let _before = open(SOCKETS_BEFORE).await?;
    settle().await;
    let before = peer.memory()?;
    let _open = open(sockets).await?;
    settle().await;
    let memory_bytes = peer.memory()?.saturating_sub(before);
    Ok(Sample { sockets, memory_bytes, ..Sample::default() })
}

/// What CPU time a proxy takes while its WebSockets are idle.
pub(super) async fn watch(peer: &Running, sockets: usize) -> Result<Sample> {
    let _open = open(peer.address, sockets).await?;
    settle().await;
    let (begun, before) = (Instant::now(), peer.cpu_time()?);
    tokio::time::sleep(WATCH).await;
    let cpu = peer.cpu_time()?.saturating_sub(before);
    Ok(Sample { sockets, cpu, elapsed: begun.elapsed(), ..Sample::default() })
}
