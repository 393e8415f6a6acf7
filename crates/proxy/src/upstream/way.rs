//! How a location speaks to its servers: by which protocol, and what tells one connection from another.

use super::Endpoint;
use culvert_conf::config::{HttpVersion, ProxySettings};
use std::time::Duration;

/// How a request goes to whichever server is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// What may be spoken.
    pub(super) protocols: Protocols,
    /// The request opens a WebSocket, which HTTP/2 has a form for if the server takes it (RFC 8441).
    pub(super) is_websocket: bool,
    /// `proxy_connect_timeout`.
    pub(super) connect_timeout: Duration,
    /// `proxy_socket_keepalive`.
    pub(super) socket_keepalive: bool,
}

/// Which protocols a connection may turn out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocols {
    /// HTTP/1.
    Http1,
    /// HTTP/2: by agreement over TLS, with prior knowledge without.
    Http2,
}

/// What kind of request it is, as far as the connection is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A request and its response.
    Plain,
    /// A WebSocket.
    WebSocket,
    /// A tunnel for something else, of which HTTP/1.1 alone knows how to open it.
    Upgrade,
}

impl Way {
    /// The way that `settings` want for a request of this kind.
    pub(crate) fn of(settings: &ProxySettings, purpose: Purpose) -> Way {
        let protocols = match (settings.http_version, purpose) {
            (_, Purpose::Upgrade) | (HttpVersion::V1_0 | HttpVersion::V1_1 | HttpVersion::Auto, _) => Protocols::Http1,
            (HttpVersion::V2, _) => Protocols::Http2,
        };
        Way {
            protocols,
            is_websocket: purpose == Purpose::WebSocket,
            connect_timeout: settings.connect_timeout,
            socket_keepalive: settings.socket_keepalive,
        }
    }

    /// Where a connection by this way to `endpoint` leads.
    pub(super) fn route(&self, endpoint: &Endpoint) -> Route {
        Route { endpoint: endpoint.clone() }
    }

    /// `:scheme`.
    pub(super) fn scheme(&self) -> &'static str {
        "http"
    }
}

/// Where a connection leads, and as whom. Requests share connections of the same route alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    endpoint: Endpoint,
}
