//! Fronts: what a protocol says becomes an Exchange, and what the Exchange answers becomes the protocol again.

pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod proxy_protocol;

use crate::exchange::ClientFacts;
use crate::io::Transport;
use crate::lifecycle::{Shared, worker};
use crate::observe::metrics::{Held, Tally};
use crate::tls;
use std::sync::Arc;

/// Serves an accepted connection to its end, in the protocol that it speaks. `site` is the listening address that it came in
/// on.
pub(crate) async fn serve(io: Transport, facts: ClientFacts, site: usize, shared: Arc<Shared>) {
    let wrapping = wrapping(site, &shared);
    let (io, facts) = if wrapping == Wrapping::default() {
        (io, facts)
    } else {
        // Boxed, so that nothing of the handshake is kept for the connection's life.
        match Box::pin(unwrap(io, facts, site, &shared, wrapping)).await {
            Some(unwrapped) => unwrapped,
            None => return,
        }
    };
    if facts.tls.as_ref().is_some_and(|tls| tls.is_http2()) {
        // A task of its own: this one's room is of no use to it.
        let active = Held::new(Tally::Active);
        return worker::spawn_counted(h2::serve(io, Vec::new(), Arc::new(facts), site, shared, active));
    }
    h1::serve(io, facts, site, shared).await;
}

/// What stands around the bytes of a connection's protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wrapping {
    proxy_protocol: bool,
    ssl: bool,
}

fn wrapping(site: usize, shared: &Shared) -> Wrapping {
    let generation = shared.generation.load();
    let site = generation.site_of(site).map(|site| &generation.sites[site]);
    site.map_or_else(Wrapping::default, |site| Wrapping { proxy_protocol: site.proxy_protocol, ssl: site.ssl })
}

/// Takes off the PROXY protocol's header, then TLS. `None`: the connection is over.
async fn unwrap(
    mut io: Transport,
    mut facts: ClientFacts,
    site: usize,
    shared: &Arc<Shared>,
    wrapping: Wrapping,
) -> Option<(Transport, ClientFacts)> {
    let _counted = (Held::new(Tally::Active), Held::new(Tally::Waiting));
    if wrapping.proxy_protocol && !proxy_protocol::read(&mut io, &mut facts, site, shared).await {
        return None;
    }
    if !wrapping.ssl {
        return Some((io, facts));
    }
    let arrived = tls::shake(io, facts, site, shared).await?;
    Some((arrived.io, arrived.facts))
}
