//! The metric table: every number that a location with `metrics` shows, one row each.
//!
//! A row gives the name, the enum variant that the traffic side fills in an exhaustive `match`, the labels, and the sentence
//! that the scraper and the generated reference print.

/// One row of the metric table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What the traffic side counts.
    pub metric: Metric,
    /// The name behind `culvert_`. A counter is shown with `_total` behind it.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What tells its values apart, in the order in which they are shown.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub doc: &'static str,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only up, from the start of the gateway.
    Counter,
    /// Up and down.
    Gauge,
}

impl Kind {
    /// The word for the reference.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

macro_rules! metrics {
    ($($metric:ident $kind:ident $name:literal [$($label:literal)*] $doc:literal;)*) => {
        /// The metrics. The doc comment of each is its row in the reference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric { $(#[doc = $doc] $metric),* }
        /// The metric table, in the order of the reference.
        pub const TABLE: &[Row] = &[
            $(Row { metric: Metric::$metric, name: $name, kind: Kind::$kind, labels: &[$($label),*], doc: $doc }),*
        ];
    };
}

metrics! {
    Build Gauge "build_info" ["version"] "Always 1: the label says which version runs.";
    StartTime Gauge "start_time_seconds" [] "When the gateway started, in seconds since 1970.";
    Workers Gauge "workers" [] "Worker threads.";
    Reloads Counter "reloads" ["result"] "Reloads by what came of them: `taken` or `refused`.";
    Accepted Counter "connections_accepted" [] "Client connections that were accepted.";
    Handled Counter "connections_handled" [] "Client connections that were served: all that were accepted, but for those that a limit of the process turned away.";
    Active Gauge "connections_active" [] "Client connections that are open, those that became tunnels included.";
    States Gauge "connections" ["state"] "Client connections by what happens on them: `reading` a request's head, `writing` its answer (tunnels among them), `waiting` for a request.";
    Seats Gauge "connections_open" [] "Connections of either side that are open: what `worker_connections` bounds.";
    SeatsMax Gauge "connections_open_limit" [] "How many may be open: `worker_connections` of all worker threads together.";
    Requests Counter "requests" [] "Requests that began.";
    Responses Counter "responses" ["class"] "Requests that ended, by the class of their status: `1xx` (tunnels that opened) to `5xx`.";
    ClientReceived Counter "client_received_bytes" [] "Bytes that clients sent, those of a tunnel once it has ended.";
    ClientSent Counter "client_sent_bytes" [] "Bytes that were sent to clients, those of a tunnel once it has ended.";
    Tunnels Gauge "tunnels" [] "Tunnels that are open.";
    TunnelsOpened Counter "tunnels_opened" [] "Tunnels that were opened.";
    TunnelsClosed Counter "tunnels_closed" ["by" "cause"] "Tunnels that ended, by who ended them and why: the words of `$websocket_closed_by` and `$websocket_close_cause`. Tunnels whose frames are not read have no words.";
    Messages Counter "websocket_messages" ["from"] "WebSocket messages from `client` and from `server`, counted when their tunnel ends.";
    Payload Counter "websocket_payload_bytes" ["from"] "Bytes of those messages, frame headers not counted.";
    Violations Counter "websocket_violations" [] "How often the frames of WebSockets broke a rule or a limit, counted when their tunnel ends.";
    TlsHandshakes Counter "tls_handshakes" ["result"] "TLS handshakes with clients: `full`, `resumed` or `failed`.";
    PeerState Gauge "upstream_peer_state" ["upstream" "server" "peer" "state"] "1 for the state that a peer is in, in the words of NGINX Plus: `up`, `draining`, `down`, `unavail`, `checking`, `unhealthy`; 0 for the others.";
    PeerLive Gauge "upstream_peer_live" ["upstream" "server" "peer"] "Requests and tunnels that are live on a peer.";
    PeerTunnels Gauge "upstream_peer_tunnels" ["upstream" "server" "peer"] "Tunnels that are live on a peer.";
    PeerPicks Counter "upstream_peer_picks" ["upstream" "server" "peer"] "How often a peer was chosen.";
    PeerResponses Counter "upstream_peer_responses" ["upstream" "server" "peer" "class"] "A peer's answers by the class of their status.";
    PeerFails Counter "upstream_peer_fails" ["upstream" "server" "peer"] "Tries on a peer that failed, tunnels that died early included.";
    PeerUnavail Counter "upstream_peer_unavail" ["upstream" "server" "peer"] "How often `max_fails` took a peer out of service.";
    PeerChecks Counter "upstream_peer_health_checks" ["upstream" "server" "peer" "result"] "Probes of a peer: `passed` or `failed`.";
    PeerRamp Gauge "upstream_peer_ramp_ratio" ["upstream" "server" "peer"] "The part of its weight that a peer has regained in slow start; 1 otherwise.";
    Queued Gauge "upstream_queue_waiting" ["upstream"] "Requests that wait in the upstream's `queue`.";
    Refused Counter "upstream_refused" ["upstream" "reason"] "Requests that no server took: `down`, none was up; `full`, all were full and so was the queue; `timeout`, it waited too long.";
    Moved Counter "upstream_tunnels_moved" ["upstream" "reason"] "Tunnels that were told to come back by way of another server: by `rebalance`, or because theirs is `down`.";
    PortsUsed Gauge "source_ports_used" ["address"] "Connections to an address of a backend: each has a source port for itself.";
    PortsAll Gauge "source_ports_available" ["address"] "Source ports that the kernel may choose from for that address. Past four fifths of them a warning is logged.";
    PortsScarce Gauge "source_ports_scarce" ["address"] "1 where more than four fifths of them are in use.";
    ResolverRequests Counter "resolver_requests" ["zone" "kind"] "Questions of a `resolver` with `status_zone`: for addresses of a `name`, or `srv` records.";
    ResolverResponses Counter "resolver_responses" ["zone" "code"] "What came of them: `noerror`, `formerr`, `servfail`, `nxdomain`, `notimp`, `refused`, `timedout`, or `unknown` for the rest.";
    LogLinesLost Counter "log_writes_lost" [] "Writes to logs that failed: a full disk, a syslog server that is gone.";
}

/// The row of a metric.
pub fn row(metric: Metric) -> &'static Row {
    &TABLE[metric as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_metric_and_told_in_a_sentence() {
        for (index, listed) in TABLE.iter().enumerate() {
            assert_eq!(row(listed.metric).name, listed.name);
            assert!(listed.doc.ends_with('.'), "{}", listed.name);
            assert!(TABLE[index + 1..].iter().all(|other| other.name != listed.name), "{}", listed.name);
            assert!(!listed.name.ends_with("_total"), "{}", listed.name);
        }
    }
}
