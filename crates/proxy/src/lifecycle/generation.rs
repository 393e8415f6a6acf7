//! A generation is what runs: immutable, shared by all workers, swapped in one atomic store on reload.

use crate::exchange::access::Zones;
use crate::observe::error_log::ErrorSink;
use crate::observe::log_file::LogFiles;
use crate::tls::Tls;
use crate::upstream::Upstream;
use crate::upstream::discovery::Lookups;
use crate::upstream::tls::ClientTls;
use culvert_conf::config::{Config, ErrorLog, ProxyTls, Server};
use culvert_engine::route::ServerNames;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A configuration with everything that it names resolved and opened.
pub(crate) struct Generation {
    pub(crate) config: Config,
    /// One per listening address.
    pub(crate) sites: Vec<Site>,
    /// In the order of the configuration's upstreams.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// Who resolves the names that only requests know.
    pub(crate) lookups: Lookups,
    /// Certificates and sessions.
    pub(crate) tls: Tls,
    pub(crate) logs: LogFiles,
    pub(crate) hostname: String,
    /// The main context's error log.
    pub(crate) error_sink: ErrorSink,
    /// The open error logs of all locations, by the address of their list.
    pub(crate) error_sinks: HashMap<usize, Arc<ErrorSink>>,
    /// TLS towards servers, by the address of the settings that it comes of.
    pub(crate) client_tls: HashMap<usize, Arc<ClientTls>>,
    /// The zones of limits.
    pub(crate) zones: Zones,
    /// The addresses of the host names in `set_real_ip_from`.
    pub(crate) trusted_hosts: HashMap<Box<str>, Box<[IpAddr]>>,
    /// Which site a listener belongs to, by the listener's number; listeners keep their numbers over reloads.
    pub(crate) site_by_listener: Vec<Option<usize>>,
}

/// A listening address and the servers behind it.
pub(crate) struct Site {
    pub(crate) names: ServerNames<Named>,
    pub(crate) default: Named,
    /// The servers behind it, in the order of the file.
    pub(crate) servers: Vec<usize>,
    /// The address speaks TLS by one of its `listen` lines.
    pub(crate) ssl: bool,
    /// The address speaks HTTP/2 by its `listen` line, whatever its servers say.
    pub(crate) http2: bool,
    /// Some location of its servers can serve a WebSocket, so that HTTP/2 may offer it (RFC 8441).
    pub(crate) has_websockets: bool,
    /// `listen … proxy_protocol`: each connection begins with a header that says whose it is.
    pub(crate) proxy_protocol: bool,
}

impl Site {
    /// Whether `server` speaks HTTP/2 here.
    pub(crate) fn speaks_http2(&self, server: &Server) -> bool {
        self.http2 || server.http2.on
    }
}

/// A server, and which of its names was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// An index into the configuration's servers.
    pub(crate) server: usize,
    /// An index into the server's names.
    pub(crate) name: Option<usize>,
}

impl Generation {
    /// The site of a listener; `None` where this configuration no longer listens there.
    pub(crate) fn site_of(&self, listener: usize) -> Option<usize> {
        self.site_by_listener.get(listener).copied().flatten()
    }

    /// The server that answers on a site where no name is known.
    pub(crate) fn default_server(&self, site: usize) -> &Arc<Server> {
        &self.config.http.servers[self.sites[site].default.server]
    }

    /// TLS towards servers as `settings` want it, which are of a location of this configuration that speaks it.
    pub(crate) fn client_tls(&self, settings: &Arc<ProxyTls>) -> Option<Arc<ClientTls>> {
        self.client_tls.get(&Arc::as_ptr(settings).addr()).cloned()
    }

    /// The open files of `logs`, a list of this configuration. Locations that inherit a list share its sink.
    pub(crate) fn error_sink(&self, logs: &Arc<[ErrorLog]>) -> Arc<ErrorSink> {
        let known = self.error_sinks.get(&Arc::as_ptr(logs).addr());
        known.cloned().unwrap_or_else(|| Arc::new(ErrorSink::new(logs, &self.logs)))
    }
}
