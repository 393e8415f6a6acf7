//! Opening a connection to a peer.
//!
//! Where a server has addresses of both families, one that does not answer at once is raced by one of the other family
//! (RFC 8305): whichever connects first has the request, and the other attempt is given up.

use super::h2::{self, Taken};
use super::ports::{PortUse, Scarce};
use super::tls::Offer;
use super::way::Protocols;
use super::{Connection, Endpoint, Pick, Upstream, Way, pool};
use crate::io::clock::now;
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
    /// `proxy_connect_timeout` was over while this was being done.
    Timeout(&'static str),
    /// The system said no.
    Failed(io::Error),
    /// The handshake of TLS failed.
    Tls(io::Error),
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

const CONNECTING: &str = "connecting to upstream";

/// How long the first address has to itself: RFC 8305 section 5, `Connection Attempt Delay`.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection for a request.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) connection: Box<Connection>,
    /// Source ports become scarce.
    pub(crate) scarce: Option<Scarce>,
    /// It was made for an earlier request.
    pub(crate) reused: bool,
}

/// A connection to the picked peer that there is already: an idle one, or a stream on one that others use too.
pub(crate) fn reuse(upstream: &Upstream, pick: &Pick, way: &Way) -> Option<Box<Connection>> {
    let own = || pool::take(upstream, pick.peer().id, way);
    if way.protocols == Protocols::Http1 {
        return own();
    }
    match h2::take(&way.route(pick.endpoint()), way.is_websocket) {
        Taken::Stream(stream) => Some(Connection::shared(stream)),
        Taken::Nothing if way.protocols == Protocols::Http2 => None,
        _ => own(),
    }
}

/// Connects to the picked peer. What few connections need is boxed, so that the others have no room for it. The pick may be another one afterwards, on another address of the same server.
pub(crate) async fn connect(pick: &mut Pick, tried: &Tried, way: &Way) -> Result<Connected, Unconnected> {
    let until = now() + way.connect_timeout;
    let shared =
        if way.protocols == Protocols::Http1 { None } else { Box::pin(share(pick, tried, way, until)).await? };
    match shared {
        Some(connected) => Ok(connected),
        None => {
            let transport = dial(pick, tried, way, until).await?;
            let (transport, _) = secure(way, transport, way.own_offer, until).await?;
            let (port, scarce) = pick.take_port();
            Ok(own(way, transport, (port, scarce)))
        }
    }
}

/// A connection for one request at a time.
fn own(way: &Way, transport: Transport, (port, scarce): (Option<PortUse>, Option<Scarce>)) -> Connected {
    let mut connection = Connection::new(transport);
    (connection.port, connection.secure) = (port, way.secure.clone());
    Connected { connection, scarce, reused: false }
}

/// Begins a stream on a connection of HTTP/2, which is made unless somebody else has just made it. `None` where the request needs
/// a connection of its own: the server chooses HTTP/1.1, or takes no WebSockets as streams.
async fn share(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Option<Connected>, Unconnected> {
    let route = way.route(pick.endpoint());
    if let Taken::Http1 = h2::take(&route, way.is_websocket) {
        return Ok(None);
    }
    let turnstile = h2::turnstile(&route);
    let _turn = timeout_at(until, turnstile.lock()).await.map_err(|_| ConnectError::Timeout(CONNECTING))?;
    match h2::take(&route, way.is_websocket) {
        Taken::Nothing => begin(pick, tried, way, until).await,
        taken => taken_stream(taken, None, true),
    }
}

/// Makes a connection that others may share.
async fn begin(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Option<Connected>, Unconnected> {
    let transport = dial(pick, tried, way, until).await?;
    let (transport, is_http2) = secure(way, transport, way.shared_offer(), until).await?;
    let (port, scarce) = pick.take_port();
    let route = way.route(pick.endpoint());
    if !is_http2 {
        h2::note_http1(&route);
        return Ok(Some(own(way, transport, (port, scarce))));
    }
    let opening = h2::open(transport, way.scheme(), pick.upstream().keepalive, port);
    let session = match timeout_at(until, opening).await {
        Ok(session) => session.map_err(ConnectError::Http2)?,
        Err(Elapsed { .. }) => return Err(ConnectError::Timeout(CONNECTING).into()),
    };
    taken_stream(h2::add(&route, session, way.is_websocket), scarce, false)
}

fn taken_stream(taken: Taken, scarce: Option<Scarce>, reused: bool) -> Result<Option<Connected>, Unconnected> {
    match taken {
        Taken::Stream(stream) => Ok(Some(Connected { connection: Connection::shared(stream), scarce, reused })),
        Taken::NoWebSockets | Taken::Http1 => Ok(None),
        Taken::Nothing => Err(ConnectError::Http2(io::Error::other("it takes no streams")).into()),
    }
}

/// Makes TLS of the connection, where the way is by TLS. The second value says that HTTP/2 is to be spoken on it.
async fn secure(
    way: &Way,
    transport: Transport,
    offer: Offer,
    until: Instant,
) -> Result<(Transport, bool), ConnectError> {
    let Some(secure) = &way.secure else { return Ok((transport, way.protocols == Protocols::Http2)) };
    match timeout_at(until, Box::pin(secure.handshake(transport, offer))).await {
        Ok(made) => made.map_err(ConnectError::Tls),
        Err(Elapsed { .. }) => Err(ConnectError::Timeout("SSL handshaking to upstream")),
    }
}

/// Opens a connection, by a race where that may help.
async fn dial(pick: &mut Pick, tried: &Tried, way: &Way, until: Instant) -> Result<Transport, Unconnected> {
    if pick.upstream().fleet.is_dual() && until.duration_since(now()) > HEAD_START {
        Box::pin(race(pick, tried, until, way)).await
    } else {
        within(timeout_at(until, open(pick.endpoint(), way)).await)
    }
}

fn within(opened: Result<io::Result<Transport>, Elapsed>) -> Result<Transport, Unconnected> {
    match opened {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) => Err(ConnectError::Failed(error).into()),
        Err(Elapsed { .. }) => Err(ConnectError::Timeout(CONNECTING).into()),
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
                _ => ConnectError::Timeout(CONNECTING),
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
