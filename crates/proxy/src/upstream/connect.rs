//! Opening a connection to a peer.
//!
//! Where a server has addresses of both families, one that does not answer at once is raced by one of the other family
//! (RFC 8305): whichever connects first has the request, and the other attempt is given up.

use super::h2::{self, Taken};
use super::ports::Scarce;
use super::way::Protocols;
use super::{Connection, Endpoint, Pick, Upstream, Way, pool};
use crate::io::{Socket, Transport};
use culvert_engine::balance::{Ending, PeerId, Tried};
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// Why a peer could not be connected to.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nothing answered within `proxy_connect_timeout`.
    Timeout,
    /// The system said no.
    Failed(io::Error),
    /// It does not speak HTTP/2, or breaks off at once.
    Http2(io::Error),
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

/// A connection for a request.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    /// Source ports become scarce.
    pub(crate) scarce: Option<Scarce>,
    /// It was made for an earlier request.
    pub(crate) reused: bool,
}

/// A connection to the picked peer that there is already: an idle one, or a stream on one that others use too.
pub(crate) fn reuse(upstream: &Upstream, pick: &Pick, way: &Way) -> Option<Connection> {
    if way.protocols == Protocols::Http1 {
        return pool::take(upstream, pick.peer().id, way);
    }
    match h2::take(&way.route(pick.endpoint()), way.is_websocket) {
        Taken::Stream(stream) => Some(Connection::shared(stream)),
        Taken::NoWebSockets | Taken::Http1 => pool::take(upstream, pick.peer().id, way),
        Taken::Nothing => None,
    }
}

/// Connects to the picked peer. The pick may be another one afterwards, on another address of the same server.
pub(crate) async fn connect(pick: &mut Pick, tried: &Tried, way: &Way) -> Result<Connected, Unconnected> {
    let until = Instant::now() + way.connect_timeout;
    if way.protocols == Protocols::Http1 {
        return own(pick, tried, way, until).await;
    }
    match share(pick, tried, way, until).await? {
        Some(connected) => Ok(connected),
        None => own(pick, tried, way, until).await,
    }
}

/// Makes a connection for one request at a time.
async fn own(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Connected, Unconnected> {
    let mut connection = Connection::new(dial(pick, tried, way, until).await?);
    let (port, scarce) = pick.take_port();
    connection.port = port;
    Ok(Connected { connection, scarce, reused: false })
}

/// Begins a stream on a connection of HTTP/2, which is made unless somebody else has just made it. `None` where the server
/// takes no WebSockets as streams.
async fn share(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Option<Connected>, Unconnected> {
    let route = way.route(pick.endpoint());
    let turnstile = h2::turnstile(&route);
    let _turn = timeout_at(until, turnstile.lock()).await.map_err(|_| ConnectError::Timeout)?;
    let (taken, scarce, reused) = match h2::take(&route, way.is_websocket) {
        Taken::Nothing => {
            let transport = dial(pick, tried, way, until).await?;
            let (port, scarce) = pick.take_port();
            let opening = h2::open(transport, way.scheme(), pick.upstream().keepalive, port);
            let session = match timeout_at(until, opening).await {
                Ok(Ok(session)) => session,
                Ok(Err(error)) => return Err(ConnectError::Http2(error).into()),
                Err(Elapsed { .. }) => return Err(ConnectError::Timeout.into()),
            };
            (h2::add(&way.route(pick.endpoint()), session, way.is_websocket), scarce, false)
        }
        taken => (taken, None, true),
    };
    match taken {
        Taken::Stream(stream) => Ok(Some(Connected { connection: Connection::shared(stream), scarce, reused })),
        Taken::NoWebSockets | Taken::Http1 => Ok(None),
        Taken::Nothing => Err(ConnectError::Http2(io::Error::other("it takes no streams")).into()),
    }
}

/// Opens a connection, by a race where that may help.
async fn dial(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Transport, Unconnected> {
    if pick.upstream().fleet.is_dual() && until.duration_since(Instant::now()) > HEAD_START {
        race(pick, tried, until, way).await
    } else {
        within(timeout_at(until, open(pick.endpoint(), way)).await)
    }
}

fn within(opened: Result<io::Result<Transport>, Elapsed>) -> Result<Transport, Unconnected> {
    match opened {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) => Err(ConnectError::Failed(error).into()),
        Err(Elapsed { .. }) => Err(ConnectError::Timeout.into()),
    }
}

async fn race(pick: &mut Pick, tried: &Tried, until: Instant, way: &Way) -> Result<Transport, Unconnected> {
    let endpoint = pick.endpoint().clone();
    let mut first = pin!(open(&endpoint, way));
    if let Ok(opened) = timeout(HEAD_START, &mut first).await {
        return within(Ok(opened));
    }
    let Some(mut rival) = pick.rival(tried) else {
        return within(timeout_at(until, first).await);
    };
    let endpoint = rival.endpoint().clone();
    let mut second = pin!(open(&endpoint, way));
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

async fn open(endpoint: &Endpoint, way: &Way) -> io::Result<Transport> {
    let mut transport = match endpoint {
        Endpoint::Inet(addr) => Transport::Socket(Socket::connect(*addr, way.socket_keepalive, way.source).await?),
        Endpoint::Unix(path) => Transport::Socket(Socket::connect_unix(path)?),
        #[cfg(test)]
        Endpoint::Memory(name) => Transport::Memory(crate::world::network::connect(name).await?),
    };
    if let Some(greeting) = &way.greeting {
        transport.write_all(greeting).await?;
    }
    Ok(transport)
}
