//! `metrics`: all that is counted, in the text format of OpenMetrics.

use crate::exchange::content::Reply;
use crate::exchange::{Exchange, Next};
use crate::lifecycle::{Generation, worker_count};
use crate::observe::metrics::{CAUSES, Count, PeerCounts, SIDES, Tally, resolver_zones, started_at, sum};
use crate::upstream::{PeerStatus, Upstream, ports};
use bytes::Bytes;
use culvert_conf::config::Level;
use culvert_engine::balance::State;
use culvert_engine::metric::{Kind, Metric, Row, TABLE};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const CONTENT_TYPE: &[u8] = b"application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `GET` and `HEAD`.
pub(in crate::exchange) fn answer(exchange: &Exchange) -> Next {
    if !matches!(exchange.request.method(), b"GET" | b"HEAD") {
        return Next::Status(405);
    }
    match text(&exchange.generation) {
        Ok(text) => Next::Reply(Box::new(Reply::text(200, Bytes::from_static(CONTENT_TYPE), text.into()))),
        Err(error) => {
            exchange.log(Level::Error, format_args!("the metrics could not be written ({error})"));
            Next::Status(500)
        }
    }
}

fn text(generation: &Generation) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page::of(generation)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// All numbers of one moment, by metric.
#[derive(Debug)]
struct Page(Vec<(&'static Row, Vec<Sample>)>);

/// One number and the values of its metric's labels.
type Sample = (Vec<String>, u64);

impl Page {
    fn of(generation: &Generation) -> Page {
        let peers: Vec<(Arc<Upstream>, PeerStatus)> = generation
            .upstreams
            .iter()
            .flat_map(|upstream| upstream.status().into_iter().map(|status| (upstream.clone(), status)))
            .collect();
        let view = View { generation, peers };
        Page(TABLE.iter().map(|row| (row, view.samples(row.metric))).collect())
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (row, samples) in &self.0 {
            let kind = match row.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let name = format!("culvert_{}", row.name);
            let mut metric = encoder.encode_descriptor(&name, row.doc, None, kind)?;
            for (values, number) in samples {
                write(row, values, *number, &mut metric)?;
            }
        }
        Ok(())
    }
}

fn write(row: &Row, values: &[String], number: u64, metric: &mut MetricEncoder<'_>) -> fmt::Result {
    let labels: Vec<(&str, &str)> = row.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
    let put = |metric: &mut MetricEncoder<'_>| match (row.kind, row.metric) {
        (Kind::Counter, _) => metric.encode_counter::<NoLabels, _, u64>(&number, None),
        (Kind::Gauge, Metric::PeerRamp) => metric.encode_gauge(&(number as f64 / RAMP_PARTS)),
        (Kind::Gauge, _) => metric.encode_gauge(&i64::try_from(number).unwrap_or(i64::MAX)),
    };
    match labels.is_empty() {
        true => put(metric),
        false => put(&mut metric.encode_family(&labels)?),
    }
}

/// Exemplars have labels, and here are none.
type NoLabels = [(&'static str, &'static str); 0];

/// The ramp is the one number here that is no whole one: it is carried as so many parts.
const RAMP_PARTS: f64 = 1000.0;

/// What numbers are read from.
struct View<'a> {
    generation: &'a Generation,
    peers: Vec<(Arc<Upstream>, PeerStatus)>,
}

impl View<'_> {
    fn samples(&self, metric: Metric) -> Vec<Sample> {
        match metric {
            Metric::Build => vec![(vec![env!("CARGO_PKG_VERSION").into()], 1)],
            Metric::StartTime => one(started_at()),
            Metric::Workers => one(worker_count(&self.generation.config) as u64),
            Metric::Reloads => {
                vec![named("taken", sum(Tally::ReloadsTaken)), named("refused", sum(Tally::ReloadsRefused))]
            }
            Metric::Accepted => one(sum(Tally::Accepted)),
            Metric::Handled => one(sum(Tally::Handled)),
            Metric::Active => one(sum(Tally::Active)),
            Metric::States => vec![
                named("reading", sum(Tally::Reading)),
                named("writing", sum(Tally::Writing)),
                named("waiting", sum(Tally::Waiting)),
            ],
            Metric::Seats => one(sum(Tally::Seats)),
            Metric::SeatsMax => {
                let config = &self.generation.config;
                one((worker_count(config) * config.main.worker_connections) as u64)
            }
            Metric::Requests => one(sum(Tally::Requests)),
            Metric::Responses => (1..=5).map(|class| (vec![class_name(class)], sum(Tally::Response(class)))).collect(),
            Metric::ClientReceived => one(sum(Tally::ClientReceived)),
            Metric::ClientSent => one(sum(Tally::ClientSent)),
            Metric::Tunnels => one(sum(Tally::Tunnels)),
            Metric::TunnelsOpened => one(sum(Tally::TunnelsOpened)),
            Metric::TunnelsClosed => closed(),
            Metric::Messages => {
                vec![named("client", sum(Tally::ClientMessages)), named("server", sum(Tally::ServerMessages))]
            }
            Metric::Payload => {
                vec![named("client", sum(Tally::ClientPayload)), named("server", sum(Tally::ServerPayload))]
            }
            Metric::Violations => one(sum(Tally::Violations)),
            Metric::TlsHandshakes => vec![
                named("full", sum(Tally::TlsFull)),
                named("resumed", sum(Tally::TlsResumed)),
                named("failed", sum(Tally::TlsFailed)),
            ],
            Metric::LogLinesLost => one(sum(Tally::LogLinesLost)),
            Metric::Queued | Metric::Refused | Metric::Moved => self.of_upstreams(metric),
            Metric::PortsUsed => of_ports(|ports| ports.used.into()),
            Metric::PortsAll => of_ports(|ports| ports.all.into()),
            Metric::PortsScarce => of_ports(|ports| ports.is_scarce().into()),
            Metric::ResolverRequests | Metric::ResolverResponses => of_resolvers(metric),
            Metric::PeerState
            | Metric::PeerLive
            | Metric::PeerTunnels
            | Metric::PeerPicks
            | Metric::PeerResponses
            | Metric::PeerFails
            | Metric::PeerUnavail
            | Metric::PeerChecks
            | Metric::PeerRamp => self.of_peers(metric),
        }
    }

    fn of_peers(&self, metric: Metric) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (upstream, status) in &self.peers {
            let peer = &status.peer;
            let labels = [upstream.name.clone(), peer.name.to_string(), peer.endpoint.to_string()];
            for (further, number) in of_peer(metric, status, &peer.counts) {
                samples.push((labels.iter().cloned().chain(further.map(String::from)).collect(), number));
            }
        }
        samples
    }

    fn of_upstreams(&self, metric: Metric) -> Vec<Sample> {
        let mut samples = Vec::new();
        for upstream in &self.generation.upstreams {
            let counts = upstream.counts();
            let mut put = |reason: &str, count: &Count| {
                samples.push((vec![upstream.name.clone(), reason.to_owned()], count.value()));
            };
            match metric {
                Metric::Queued => samples.push((vec![upstream.name.clone()], upstream.queued() as u64)),
                Metric::Moved => {
                    put("rebalance", &counts.rebalanced);
                    put("down", &counts.evacuated);
                }
                _ => {
                    put("down", &counts.refused_down);
                    put("full", &counts.refused_full);
                    put("timeout", &counts.refused_timeout);
                }
            }
        }
        samples
    }
}

/// The numbers of a peer, each with the label that tells it from the others of the same metric.
fn of_peer(metric: Metric, status: &PeerStatus, counts: &PeerCounts) -> Vec<(Option<&'static str>, u64)> {
    let alone = |number: u64| vec![(None, number)];
    match metric {
        Metric::PeerState => STATES.map(|state| (Some(state.name()), u64::from(state == status.status.state))).to_vec(),
        Metric::PeerLive => alone(status.status.live.into()),
        Metric::PeerTunnels => alone(status.peer.tunnels.load(Ordering::Relaxed)),
        Metric::PeerPicks => alone(counts.picks.value()),
        Metric::PeerFails => alone(counts.fails.value()),
        Metric::PeerUnavail => alone(counts.unavail.value()),
        Metric::PeerRamp => alone((f64::from(status.status.ramped) * RAMP_PARTS).round() as u64),
        Metric::PeerResponses => CLASSES.into_iter().map(Some).zip(counts.responses.iter().map(Count::value)).collect(),
        _ => vec![(Some("passed"), counts.checks_passed.value()), (Some("failed"), counts.checks_failed.value())],
    }
}

const STATES: [State; 6] = [State::Up, State::Draining, State::Down, State::Unavail, State::Checking, State::Unhealthy];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn class_name(class: u8) -> String {
    CLASSES[usize::from(class) - 1].to_owned()
}

fn one(number: u64) -> Vec<Sample> {
    vec![(Vec::new(), number)]
}

fn named(label: &str, number: u64) -> Sample {
    (vec![label.to_owned()], number)
}

/// Only what has happened: most pairs of side and cause never do.
fn closed() -> Vec<Sample> {
    let mut samples = vec![(vec![String::new(), String::new()], sum(Tally::ClosedUnread))];
    for side in SIDES {
        for cause in CAUSES {
            let number = sum(Tally::Closed(side, cause));
            samples.push((vec![side.as_str().to_owned(), cause.as_str().to_owned()], number));
        }
    }
    samples.retain(|(_, number)| *number > 0);
    samples
}

fn of_ports(number: impl Fn(&ports::Towards) -> u64) -> Vec<Sample> {
    ports::all().iter().map(|ports| (vec![ports.address.to_string()], number(ports))).collect()
}

fn of_resolvers(metric: Metric) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (zone, counts) in resolver_zones() {
        let mut put = |label: &str, number: u64| samples.push((vec![zone.to_string(), label.to_owned()], number));
        if metric == Metric::ResolverRequests {
            put("name", counts.names.value());
            put("srv", counts.services.value());
        } else {
            counts.responses().for_each(|(code, number)| put(code, number));
        }
    }
    samples
}
