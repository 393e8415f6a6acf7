//! All directives: one file per nginx module, a row each.

pub(crate) mod access;
pub(crate) mod addition;
pub(crate) mod auth_basic;
pub(crate) mod auth_request;
pub(crate) mod autoindex;
pub(crate) mod charset;
pub(crate) mod core;
pub(crate) mod error_page;
pub(crate) mod expires;
pub(crate) mod files;
pub(crate) mod geo;
pub(crate) mod gzip;
pub(crate) mod headers;
pub(crate) mod health_check;
pub(crate) mod health_match;
pub(crate) mod http2;
pub(crate) mod http_client;
pub(crate) mod http_core;
pub(crate) mod http_limits;
pub(crate) mod if_;
pub(crate) mod limit_conn;
pub(crate) mod limit_except;
pub(crate) mod limit_req;
pub(crate) mod listen;
pub(crate) mod location;
pub(crate) mod log;
pub(crate) mod log_target;
pub(crate) mod map;
pub(crate) mod metrics;
pub(crate) mod mirror;
pub(crate) mod no_effect;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod proxy_cache;
pub(crate) mod proxy_cookies;
pub(crate) mod proxy_headers;
pub(crate) mod proxy_pass;
pub(crate) mod proxy_redirect;
pub(crate) mod proxy_request;
pub(crate) mod proxy_response;
pub(crate) mod proxy_ssl;
pub(crate) mod real_ip;
pub(crate) mod referer;
pub(crate) mod resolver;
pub(crate) mod rewrite;
pub(crate) mod secure_link;
pub(crate) mod server;
pub(crate) mod server_name;
pub(crate) mod split_clients;
pub(crate) mod ssl;
pub(crate) mod ssl_ciphers;
pub(crate) mod status;
pub(crate) mod sub_filter;
pub(crate) mod temp_path;
pub(crate) mod try_files;
pub(crate) mod types;
pub(crate) mod types_list;
pub(crate) mod unsupported;
pub(crate) mod upstream;
pub(crate) mod upstream_method;
pub(crate) mod upstream_server;
pub(crate) mod upstream_sticky;
pub(crate) mod upstream_tunnels;
pub(crate) mod websocket;
pub(crate) mod websocket_handshake;
pub(crate) mod websocket_limits;
pub(crate) mod zones;

use crate::registry::{Contexts, Module};
use crate::scope::Scope;
use std::sync::Arc;

/// nginx's modules, then Culvert's own, in the order of the reference.
pub(crate) const MODULES: &[Module] = &[
    Module { name: "core", rows: core::ROWS },
    Module { name: "core: the process", rows: process::ROWS },
    Module { name: "ngx_http_core_module", rows: http_core::ROWS },
    Module { name: "ngx_http_core_module: server", rows: server::ROWS },
    Module { name: "ngx_http_core_module: location", rows: location::ROWS },
    Module { name: "ngx_http_core_module: limits and times", rows: http_limits::ROWS },
    Module { name: "ngx_http_core_module: the client's connection", rows: http_client::ROWS },
    Module { name: "ngx_http_core_module: errors and types", rows: error_page::ROWS },
    Module { name: "ngx_http_core_module: resolver", rows: resolver::ROWS },
    Module { name: "Files", rows: files::ROWS },
    Module { name: "ngx_http_autoindex_module", rows: autoindex::ROWS },
    Module { name: "ngx_http_core_module: other methods", rows: limit_except::ROWS },
    Module { name: "ngx_http_access_module", rows: access::ROWS },
    Module { name: "ngx_http_addition_module", rows: addition::ROWS },
    Module { name: "ngx_http_auth_basic_module", rows: auth_basic::ROWS },
    Module { name: "ngx_http_auth_request_module", rows: auth_request::ROWS },
    Module { name: "ngx_http_geo_module", rows: geo::ROWS },
    Module { name: "ngx_http_charset_module", rows: charset::ROWS },
    Module { name: "ngx_http_gzip_module, ngx_http_gunzip_module, ngx_http_gzip_static_module", rows: gzip::ROWS },
    Module { name: "ngx_http_headers_module", rows: headers::ROWS },
    Module { name: "ngx_http_limit_conn_module", rows: limit_conn::ROWS },
    Module { name: "ngx_http_limit_req_module", rows: limit_req::ROWS },
    Module { name: "ngx_http_log_module", rows: log::ROWS },
    Module { name: "ngx_http_map_module", rows: map::ROWS },
    Module { name: "ngx_http_mirror_module", rows: mirror::ROWS },
    Module { name: "ngx_http_proxy_module", rows: proxy::ROWS },
    Module { name: "ngx_http_proxy_module: headers", rows: proxy_headers::ROWS },
    Module { name: "ngx_http_proxy_module: request", rows: proxy_request::ROWS },
    Module { name: "ngx_http_proxy_module: response", rows: proxy_response::ROWS },
    Module { name: "ngx_http_proxy_module: cookies", rows: proxy_cookies::ROWS },
    Module { name: "ngx_http_proxy_module: cache", rows: proxy_cache::ROWS },
    Module { name: "ngx_http_proxy_module: TLS", rows: proxy_ssl::ROWS },
    Module { name: "ngx_http_realip_module", rows: real_ip::ROWS },
    Module { name: "ngx_http_referer_module", rows: referer::ROWS },
    Module { name: "ngx_http_rewrite_module", rows: rewrite::ROWS },
    Module { name: "ngx_http_stub_status_module", rows: status::ROWS },
    Module { name: "ngx_http_secure_link_module", rows: secure_link::ROWS },
    Module { name: "ngx_http_split_clients_module", rows: split_clients::ROWS },
    Module { name: "ngx_http_ssl_module", rows: ssl::ROWS },
    Module { name: "ngx_http_try_files_module", rows: try_files::ROWS },
    Module { name: "ngx_http_sub_module", rows: sub_filter::ROWS },
    Module { name: "ngx_http_upstream_hc_module", rows: health_check::ROWS },
    Module { name: "ngx_http_upstream_hc_module: match", rows: health_match::ROWS },
    Module { name: "ngx_http_upstream_module", rows: upstream::ROWS },
    Module { name: "ngx_http_upstream_module: server", rows: upstream_server::ROWS },
    Module { name: "ngx_http_upstream_module: methods", rows: upstream_method::ROWS },
    Module { name: "ngx_http_upstream_module: sticky", rows: upstream_sticky::ROWS },
    Module { name: "Metrics", rows: metrics::ROWS },
    Module { name: "ngx_http_v2_module", rows: http2::ROWS },
    Module { name: "Live tunnels of an upstream", rows: upstream_tunnels::ROWS },
    Module { name: "WebSockets: frames and lifetime", rows: websocket::ROWS },
    Module { name: "WebSockets: handshake", rows: websocket_handshake::ROWS },
    Module { name: "WebSockets: limits", rows: websocket_limits::ROWS },
];

/// Settles what the values of a block imply for each other, before its children inherit them.
pub(crate) fn settle(scope: &mut Scope<'_>) {
    if !scope.context.meets(Contexts::HTTP_TO_IF) {
        return;
    }
    if scope.access_log_off {
        scope.location.access_logs = Arc::new([]);
    }
    proxy::settle_buffers(scope);
    proxy_ssl::settle(scope);
    websocket::settle_frames(scope);
}
