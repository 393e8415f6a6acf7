//! Fronts: what a protocol says becomes an Exchange, and what the Exchange answers becomes the protocol again.

pub(crate) mod h1;
pub(crate) mod h2;

use crate::exchange::ClientFacts;
use crate::io::Transport;
use crate::lifecycle::{Shared, worker};
use crate::observe::metrics::{Held, Tally};
use crate::tls;
use std::sync::Arc;

/// Serves an accepted connection to its end, in the protocol that it speaks. `site` is the listening address that it came in
/// on.
pub(crate) async fn serve(io: Transport, facts: ClientFacts, site: usize, shared: Arc<Shared>) {
    let (io, facts) = if expects_tls(site, &shared) {
        // Boxed, so that nothing of the handshake is kept for the connection's life.
        match Box::pin(tls::shake(io, facts, site, &shared)).await {
            Some(arrived) => (arrived.io, arrived.facts),
            None => return,
        }
    } else {
        (io, facts)
    };
    if facts.tls.as_ref().is_some_and(|tls| tls.is_http2()) {
        // A task of its own: this one's room is of no use to it.
        let active = Held::new(Tally::Active);
        return worker::spawn_counted(h2::serve(io, Vec::new(), Arc::new(facts), site, shared, active));
    }
    h1::serve(io, facts, site, shared).await;
}

fn expects_tls(site: usize, shared: &Shared) -> bool {
    let generation = shared.generation.load();
    generation.site_of(site).is_some_and(|site| generation.sites[site].ssl)
}
