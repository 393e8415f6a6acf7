//! Asking name servers: the ones of one `resolver` line, in turn, until one of them answers.

use super::records;
use crate::observe::metrics::{self, ResolverCounts};
use culvert_engine::discovery::Trouble;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a name server is waited for before the next one is asked as well.
const HEAD_START: Duration = Duration::from_secs(1);
/// A name leads to another at most so often, as a chain of aliases that is longer is a loop.
const ALIASES_MAX: usize = 8;

/// The name servers of a `resolver` line.
pub(super) struct Client {
    servers: Vec<Arc<NameServerPool<TokioRuntimeProvider>>>,
    /// Which one is asked first next time.
    turn: AtomicUsize,
    timeout: Duration,
    /// `status_zone=`.
    counts: Option<Arc<ResolverCounts>>,
}

/// What a name server said.
pub(super) struct Reply {
    /// The records that were asked for.
    pub(super) records: records::Found,
    /// For how long they hold.
    pub(super) ttl: Duration,
}

impl Client {
    /// A client of `servers`; one answer is waited for no longer than `timeout`.
    pub(super) fn new(servers: &[SocketAddr], timeout: Duration, status_zone: Option<&str>) -> Client {
        let servers = servers.iter().filter_map(|server| pool(*server, timeout)).map(Arc::new).collect();
        Client { servers, turn: AtomicUsize::new(0), timeout, counts: status_zone.map(metrics::resolver_zone) }
    }

    /// Asks for the records of one kind, following aliases that the answer itself does not follow.
    pub(super) async fn ask(&self, name: &str, kind: RecordType) -> Result<Reply, Trouble> {
        let answer = self.follow(name, kind).await;
        if let Some(counts) = &self.counts {
            let asked = if kind == RecordType::SRV { &counts.services } else { &counts.names };
            asked.one();
            counts.answered(code(answer.as_ref().err()));
        }
        answer
    }

    async fn follow(&self, name: &str, kind: RecordType) -> Result<Reply, Trouble> {
        let mut name = parse(name)?;
        let whole = async {
            let mut ttl = u32::MAX;
            for _ in 0..ALIASES_MAX {
                let Some(response) = self.exchange(Query::query(name.clone(), kind)).await? else {
                    return Ok(Reply { records: records::Found::default(), ttl: negative(ttl) });
                };
                let read = records::read(&response, &name, kind)?;
                ttl = ttl.min(read.ttl);
                match read.alias {
                    Some(alias) => name = alias,
                    None => return Ok(Reply { records: read.found, ttl: seconds(ttl) }),
                }
            }
            Err(Trouble::Malformed)
        };
        timeout(self.timeout, whole).await.unwrap_or(Err(Trouble::Timeout))
    }

    /// One question. `None`: the name has no records of this kind.
    async fn exchange(&self, query: Query) -> Result<Option<DnsResponse>, Trouble> {
        let count = self.servers.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut waiting = (0..count).map(|nth| self.servers[(first.wrapping_add(nth)) % count].clone());
        let mut asked = JoinSet::new();
        let mut worst = Trouble::Unreachable;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(result) = asked.join_next() => match judge(result.unwrap_or(Err(NetError::NoConnections))) {
                    Ok(answer) => return Ok(answer),
                    Err(Trouble::NoSuchName) => return Err(Trouble::NoSuchName),
                    Err(trouble) => {
                        worst = more_telling(worst, trouble);
                        next = Instant::now();
                    }
                },
                () = sleep_until(next), if waiting.len() > 0 => {
                    let server = waiting.next().expect("the branch is open while a server waits");
                    let query = query.clone();
                    asked.spawn(async move { server.lookup(query, options()).first_answer().await });
                    next = Instant::now() + HEAD_START;
                }
                else => return Err(worst),
            }
        }
    }
}

/// A name server with its two ways to it. TCP is for answers that were cut to fit a datagram.
fn pool(server: SocketAddr, timeout: Duration) -> Option<NameServerPool<TokioRuntimeProvider>> {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    let config = NameServerConfig::new(server.ip(), true, connections);
    let mut limits = ResolverOpts::default();
    limits.timeout = timeout;
    // Only what needs no certificates is used, which can't fail.
    let context = PoolContext::new(limits, TlsConfig::new().ok()?);
    Some(NameServerPool::from_config([config], Arc::new(context), TokioRuntimeProvider::default()))
}

fn options() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.recursion_desired = true;
    options
}

/// Names are whole as they are written; no search list is tried.
fn parse(name: &str) -> Result<Name, Trouble> {
    let mut name = Name::from_utf8(name).map_err(|_| Trouble::FormatError)?;
    name.set_fqdn(true);
    Ok(name)
}

fn judge(result: Result<DnsResponse, NetError>) -> Result<Option<DnsResponse>, Trouble> {
    match result {
        Ok(response) if response.response_code == ResponseCode::NXDomain => Err(Trouble::NoSuchName),
        Ok(response) => Ok(Some(response)),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NXDomain => Err(Trouble::NoSuchName),
            _ => Ok(None),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(match code {
            ResponseCode::FormErr => Trouble::FormatError,
            ResponseCode::NotImp => Trouble::NotImplemented,
            ResponseCode::Refused => Trouble::Refused,
            _ => Trouble::ServerFailure,
        }),
        Err(NetError::Timeout) => Err(Trouble::Timeout),
        Err(NetError::Io(_) | NetError::NoConnections | NetError::Busy) => Err(Trouble::Unreachable),
        Err(_) => Err(Trouble::Malformed),
    }
}

/// The word for what came of a question, as the metrics have it.
fn code(trouble: Option<&Trouble>) -> &'static str {
    match trouble {
        None => "noerror",
        Some(Trouble::FormatError) => "formerr",
        Some(Trouble::ServerFailure) => "servfail",
        Some(Trouble::NoSuchName) => "nxdomain",
        Some(Trouble::NotImplemented) => "notimp",
        Some(Trouble::Refused) => "refused",
        Some(Trouble::Timeout) => "timedout",
        Some(Trouble::Malformed | Trouble::Unreachable) => "unknown",
    }
}

/// What a name server said tells more than that another said nothing.
fn more_telling(one: Trouble, other: Trouble) -> Trouble {
    let weight = |trouble| match trouble {
        Trouble::Unreachable => 0,
        Trouble::Timeout => 1,
        Trouble::Malformed => 2,
        _ => 3,
    };
    if weight(other) > weight(one) { other } else { one }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(ttl))
}

/// How long it holds that there are no records; where an alias led there, no longer than that.
fn negative(ttl: u32) -> Duration {
    /// As long as nginx waits before it asks again.
    const SECONDS: u32 = 10;
    seconds(ttl.min(SECONDS))
}
