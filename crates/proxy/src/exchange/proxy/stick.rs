//! `sticky`: which server a request asks for, and how its client is bound to the one that answered.

use crate::exchange::Exchange;
use crate::exchange::client::OutHead;
use crate::upstream::{Pick, Upstream};
use culvert_engine::sticky::{Sticky, first_value};
use culvert_engine::template::Template;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a request says of its server.
#[derive(Debug, Default)]
pub(super) struct Binding {
    /// The id of the server that it asks for.
    pub(super) server_id: Option<Box<[u8]>>,
    /// The session that it names, under `sticky learn`.
    session: Option<Vec<u8>>,
}

impl Binding {
    /// What the request says in the words of `upstream`.
    pub(super) fn of(exchange: &Exchange, upstream: &Upstream) -> Binding {
        let bound_to = |id: &[u8]| Binding { server_id: Some(id.into()), session: None };
        match &upstream.config.sticky {
            None => Binding::default(),
            Some(Sticky::Cookie(cookie)) => {
                cookie.requested(&exchange.request.head.headers, unix()).map_or_else(Binding::default, bound_to)
            }
            Some(Sticky::Route(route)) => first(exchange, route).as_deref().map_or_else(Binding::default, bound_to),
            Some(Sticky::Learn(learn)) => {
                let session = first(exchange, &learn.lookup);
                let server = session.as_deref().and_then(|session| upstream.server_of_session(session));
                Binding { server_id: server.map(|server| server.as_bytes().into()), session }
            }
        }
    }

    /// Binds the client, now that the head of a response of `pick`'s is about to be passed on.
    pub(super) fn at_head(&self, exchange: &Exchange, upstream: &Upstream, pick: &mut Pick, out: &mut OutHead) {
        match &upstream.config.sticky {
            Some(Sticky::Cookie(cookie)) => {
                let append = |variable: &_, value: &mut Vec<u8>| {
                    exchange.append(variable, None, value);
                };
                out.headers.push(b"Set-Cookie", &cookie.set_cookie(pick.binding(), unix(), append));
            }
            Some(Sticky::Learn(learn)) if learn.header || out.status == 101 => {
                self.learn(exchange, &learn.create, pick, out.status == 101);
            }
            _ => {}
        }
    }

    /// Binds the client at the end of a response, where that was not done at its head.
    pub(super) fn at_end(&self, exchange: &Exchange, upstream: &Upstream, pick: &mut Pick) {
        if let Some(learn) = upstream.learns().filter(|learn| !learn.header) {
            self.learn(exchange, &learn.create, pick, false);
        }
    }

    fn learn(&self, exchange: &Exchange, create: &[Template], pick: &mut Pick, is_tunnel: bool) {
        let created = first(exchange, create);
        pick.learn(created.as_deref(), self.session.as_deref(), is_tunnel);
    }
}

fn first(exchange: &Exchange, templates: &[Template]) -> Option<Vec<u8>> {
    first_value(templates, |variable, value| {
        exchange.append(variable, None, value);
    })
}

/// Seconds since 1970.
fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
