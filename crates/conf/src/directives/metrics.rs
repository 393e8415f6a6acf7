//! `metrics`: the numbers for a scraper.

use crate::config::Handler;
use crate::registry::{Arity, Contexts, Row};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[Row::new("metrics", Contexts::LOCATION, Arity::Exactly(0), |scope, _| {
    scope.location.handler = Handler::Metrics;
    Ok(())
})
.own()
.doc(
    "Answers with all that the gateway counts, in the text format of OpenMetrics, which Prometheus reads: connections, \
     requests, tunnels and how they ended, each server of each upstream, source ports, resolvers. Anybody who may ask learns \
     the addresses of the upstream servers, so the location should be for few.",
)];
