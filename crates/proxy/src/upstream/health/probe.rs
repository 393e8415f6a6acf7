//! One probe of one peer: bytes out, bytes in, under deadlines. What they mean is the engine's.

use super::dial::{Duplex, dial, is_our_fault, secure};
use crate::observe::error_log::os_error;
use crate::upstream::Endpoint;
use crate::upstream::tls::{self, Secure};
use culvert_conf::config::HealthCheck;
use culvert_engine::balance::PeerId;
use culvert_engine::health::{
    Failure, HttpCheck, HttpProbe, Probe as Kind, Progress, Stage, WebsocketCheck, WebsocketProbe, http_request,
};
use culvert_engine::template::Template;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Which probe it is. The round tells those of earlier settings apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id {
    pub(super) peer: PeerId,
    pub(super) check: usize,
    pub(super) round: u64,
}

/// A probe that is due.
pub(super) struct Probe {
    pub(super) id: Id,
    pub(super) endpoint: Endpoint,
    pub(super) check: Arc<HealthCheck>,
    /// TLS, where the check speaks it.
    pub(super) secure: Option<Secure>,
    /// The upstream's name.
    pub(super) upstream: String,
}

/// A connection for more than one probe.
pub(super) struct Kept {
    stream: Box<dyn Duplex>,
    born: Instant,
}

/// A probe that has ended.
pub(super) struct Ended {
    pub(super) id: Id,
    pub(super) result: Outcome,
    pub(super) kept: Option<Kept>,
}

/// How a probe ended.
pub(super) enum Outcome {
    /// It has a result.
    Judged(Result<(), Failure>),
    /// The gateway itself could not.
    Abandoned(io::Error),
}

/// Why a probe went no further.
enum Stop {
    Failed(Failure),
    Ours(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl Probe {
    /// Runs to its end. `kept` is a connection that an earlier probe left open.
    pub(super) async fn run(self, kept: Option<Kept>) -> Ended {
        let (result, kept) = match self.attempt(kept).await {
            Ok(kept) => (Outcome::Judged(Ok(())), kept),
            Err(Stop::Failed(failure)) => (Outcome::Judged(Err(failure)), None),
            Err(Stop::Ours(error)) => (Outcome::Abandoned(error), None),
        };
        Ended { id: self.id, result, kept }
    }

    async fn attempt(&self, kept: Option<Kept>) -> Result<Option<Kept>, Stop> {
        match &self.check.check.probe {
            Kind::Tcp => self.connect().await.map(|_| None),
            Kind::Http(check) => self.ask(check, kept).await,
            Kind::Websocket(check) => self.talk(check).await.map(|()| None),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Duplex>, Stop> {
        let dialled = async {
            let stream = dial(&self.endpoint, self.check.check.port).await?;
            Ok(match &self.secure {
                Some(tls) => secure(tls, stream).await,
                None => Ok(stream),
            })
        };
        match timeout(self.check.connect_timeout, dialled).await {
            Ok(Ok(Err(error))) => {
                let detail = format!("{} while SSL handshaking", tls::describe(&error));
                Err(Failure::new(Stage::Connecting, detail).into())
            }
            Ok(Ok(Ok(stream))) => Ok(stream),
            Ok(Err(error)) if is_our_fault(&error) => Err(Stop::Ours(error)),
            Ok(Err(error)) => {
                let detail = format!("connect() failed ({})", os_error(&error));
                Err(Failure::new(Stage::Connecting, detail).into())
            }
            Err(_) => Err(timed_out(Stage::Connecting).into()),
        }
    }

    async fn ask(&self, check: &HttpCheck, kept: Option<Kept>) -> Result<Option<Kept>, Stop> {
        let keep = self.check.check.keepalive_time;
        let young = kept.filter(|kept| keep.is_some_and(|time| kept.born.elapsed() < time));
        if let Some(mut kept) = young {
            // The peer may have closed it meanwhile, which is no fault: a fresh one tells.
            let asked = self.ask_over(check, &mut *kept.stream).await;
            if let Ok(is_reusable) = asked {
                return Ok(Some(kept).filter(|_| is_reusable));
            }
        }
        let mut kept = Kept { stream: self.connect().await?, born: Instant::now() };
        let is_reusable = self.ask_over(check, &mut *kept.stream).await?;
        Ok(Some(kept).filter(|_| is_reusable))
    }

    /// A request and its response. Returns whether the connection can carry another.
    async fn ask_over(&self, check: &HttpCheck, stream: &mut dyn Duplex) -> Result<bool, Failure> {
        let keep = self.check.check.keepalive_time.is_some();
        let headers = self.headers(&self.check.headers);
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        self.send(stream, &http_request(&check.uri, &self.host(), headers, keep)).await?;
        let mut probe = HttpProbe::new(check.matching.clone(), keep);
        let mut buffer = vec![0; READ_BYTES];
        let mut stage = Stage::ReadingHead;
        loop {
            let read = timeout(self.check.read_timeout, stream.read(&mut buffer)).await;
            let length = read.map_err(|_| timed_out(stage))?.map_err(|error| broken("recv()", stage, &error))?;
            if length == 0 {
                probe.end_of_stream()?;
                break;
            }
            if probe.receive(&buffer[..length])? == Progress::Whole {
                break;
            }
            stage = Stage::ReadingBody;
        }
        probe.verdict(HttpProbe::variable)?;
        Ok(probe.is_reusable())
    }

    async fn talk(&self, check: &WebsocketCheck) -> Result<(), Stop> {
        let mut stream = self.connect().await?;
        let headers = self.headers(&check.headers);
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let now = || Instant::now().into_std();
        let mut probe = WebsocketProbe::new(check, &self.host(), headers, now(), rand::random());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let output = probe.output();
            if !output.is_empty() {
                self.send(&mut *stream, &output).await?;
            }
            let Some(deadline) = probe.deadline() else { break };
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => probe.end_of_stream(),
                    Ok(length) => probe.receive(&buffer[..length], now()),
                },
                () = sleep_until(deadline.into()) => probe.deadline_passed(now()),
            }
        }
        probe.verdict().cloned().unwrap_or(Ok(())).map_err(Stop::Failed)
    }

    async fn send(&self, stream: &mut dyn Duplex, bytes: &[u8]) -> Result<(), Failure> {
        let sent = timeout(self.check.send_timeout, stream.write_all(bytes)).await;
        sent.map_err(|_| timed_out(Stage::Sending))?.map_err(|error| broken("send()", Stage::Sending, &error))
    }

    fn host(&self) -> String {
        let host = String::from_utf8_lossy(&text(&self.check.host)).into_owned();
        if host.is_empty() { self.upstream.clone() } else { host }
    }

    fn headers<'h>(&self, headers: &'h [(Box<str>, Template)]) -> Vec<(&'h str, Vec<u8>)> {
        let rendered = headers.iter().map(|(name, value)| (&**name, text(value)));
        rendered.filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// Nobody's request is there to give variables a value.
fn text(template: &Template) -> Vec<u8> {
    let mut out = Vec::new();
    template.render(&mut out, |_, _| {});
    out
}

fn timed_out(stage: Stage) -> Failure {
    Failure::new(stage, "upstream timed out (110: Connection timed out)")
}

fn broken(call: &str, stage: Stage, error: &io::Error) -> Failure {
    Failure::new(stage, format!("{call} failed ({})", os_error(error)))
}
