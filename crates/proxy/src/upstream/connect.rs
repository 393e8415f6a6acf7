//! Opening a connection to a peer.
//!
//! Where a server has addresses of both families, one that does not answer at once is raced by one of the other family
//! (RFC 8305): whichever connects first has the request, and the other attempt is given up.

use super::ports::Scarce;
use super::{Connection, Endpoint, Pick};
use crate::io::{Socket, Transport};
use culvert_engine::balance::{Ending, PeerId, Tried};
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// Why a peer could not be connected to.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nothing answered within `proxy_connect_timeout`.
    Timeout,
    /// The system said no.
    Failed(io::Error),
}

/// A connection that could not be made.
#[derive(Debug)]
pub(crate) struct Unconnected {
    /// Why.
    pub(crate) error: ConnectError,
    /// The other address of the server that was tried too.
    pub(crate) rival: Option<PeerId>,
}

impl From<ConnectError> for Unconnected {
    fn from(error: ConnectError) -> Unconnected {
        Unconnected { error, rival: None }
    }
}

/// How long the first address has to itself: RFC 8305 section 5, `Connection Attempt Delay`.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the picked peer within `wait`; `keepalive` is `proxy_socket_keepalive`. The pick may be another one
/// afterwards, on another address of the same server. The second value says that source ports become scarce.
pub(crate) async fn connect(
    pick: &mut Pick,
    tried: &Tried,
    wait: Duration,
    keepalive: bool,
) -> Result<(Connection, Option<Scarce>), Unconnected> {
    let opened = if pick.upstream().fleet.is_dual() && wait > HEAD_START {
        race(pick, tried, wait, keepalive).await
    } else {
        within(timeout(wait, open(pick.endpoint(), keepalive)).await)
    };
    let mut connection = Connection::new(opened?);
    let (port, scarce) = pick.take_port();
    connection.port = port;
    Ok((connection, scarce))
}

fn within(opened: Result<io::Result<Transport>, Elapsed>) -> Result<Transport, Unconnected> {
    match opened {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) => Err(ConnectError::Failed(error).into()),
        Err(Elapsed { .. }) => Err(ConnectError::Timeout.into()),
    }
}

async fn race(pick: &mut Pick, tried: &Tried, wait: Duration, keepalive: bool) -> Result<Transport, Unconnected> {
    let until = Instant::now() + wait;
    let endpoint = pick.endpoint().clone();
    let mut first = pin!(open(&endpoint, keepalive));
    if let Ok(opened) = timeout(HEAD_START, &mut first).await {
        return within(Ok(opened));
    }
    let Some(mut rival) = pick.rival(tried) else {
        return within(timeout_at(until, first).await);
    };
    let endpoint = rival.endpoint().clone();
    let mut second = pin!(open(&endpoint, keepalive));
    let (mut first_error, mut second_failed) = (None, false);
    let raced = timeout_at(until, async {
        loop {
            tokio::select! {
                opened = &mut first, if first_error.is_none() => match opened {
                    Ok(transport) => return (Some(transport), true),
                    Err(error) => first_error = Some(error),
                },
                opened = &mut second, if !second_failed => match opened {
                    Ok(transport) => return (Some(transport), false),
                    Err(_) => second_failed = true,
                },
                else => return (None, true),
            }
        }
    })
    .await;
    match raced {
        Ok((Some(transport), first_won)) => {
            if second_failed {
                rival.ends(Ending::Failed);
            }
            if !first_won {
                pick.ends(if first_error.is_some() { Ending::Failed } else { Ending::Abandoned });
                std::mem::swap(pick, &mut rival);
            }
            Ok(transport)
        }
        lost => {
            rival.ends(Ending::Failed);
            let error = match (lost, first_error) {
                (Ok(_), Some(error)) => ConnectError::Failed(error),
                _ => ConnectError::Timeout,
            };
            Err(Unconnected { error, rival: Some(rival.peer().id) })
        }
    }
}

async fn open(endpoint: &Endpoint, keepalive: bool) -> io::Result<Transport> {
    match endpoint {
        Endpoint::Inet(addr) => Ok(Transport::Socket(Socket::connect(*addr, keepalive).await?)),
        Endpoint::Unix(path) => Ok(Transport::Socket(Socket::connect_unix(path)?)),
        #[cfg(test)]
        Endpoint::Memory(name) => Ok(Transport::Memory(crate::world::network::connect(name).await?)),
    }
}
