//! `stub_status`.

use crate::config::Handler;
use crate::registry::{Arity, Contexts, Row};

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[Row::new(
    "stub_status",
    Contexts::SERVER.and(Contexts::LOCATION),
    Arity::Between(0, 1),
    |scope, _| {
        scope.location.handler = Handler::StubStatus;
        Ok(())
    },
)
.repeats()
.doc(
    "Answers with four lines of numbers in nginx's form: open connections; connections accepted and handled, and requests, \
     since the start; how many connections read a request, write an answer (tunnels among them), and wait. nginx 1.7.4 and \
     older wanted an argument, which means nothing. `metrics` says far more.",
)];
