//! What holds where a configuration says nothing: nginx's defaults.

use crate::Options;
use crate::config::*;
use crate::directives::limit_req::REFUSAL;
use crate::directives::ssl;
use crate::directives::websocket::CLOSE_TIMEOUT;
use crate::directives::{addition, charset, gzip, sub_filter, types_list};
use bytes::Bytes;
use culvert_engine::content::IfModifiedSince;
use culvert_engine::retry::RetryOn;
use culvert_engine::route::LocationTree;
use culvert_engine::template::Template;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The main context. The default error log is a parameter of the command line.
pub(crate) fn main(options: &Options) -> Main {
    Main {
        worker_processes: Some(1),
        worker_connections: 512,
        worker_rlimit_nofile: None,
        worker_shutdown_timeout: None,
        user: None,
        pid: Some(options.prefix.join(format!("logs/{}.pid", options.program))),
        daemon: true,
        worker_cpu_affinity: CpuAffinity::Anywhere,
        worker_priority: 0,
        worker_rlimit_core: None,
        working_directory: None,
        error_log: Arc::new([ErrorLog { target: error_log_target(options), level: Level::Error }]),
    }
}

fn error_log_target(options: &Options) -> LogTarget {
    match options.error_log.as_deref() {
        Some("stderr") => LogTarget::Stderr,
        Some(file) => LogTarget::File(options.prefix.join(file)),
        None => LogTarget::File(options.prefix.join("logs/error.log")),
    }
}

/// What a server inherits from an `http` block that says nothing.
pub(crate) fn server(root: &Location, folder: PathBuf) -> Server {
    Server {
        listens: Vec::new(),
        names: Vec::new(),
        client_header_timeout: MINUTE,
        header_limits: HeaderLimits { first: 1 << 10, number: 4, size: 8 << 10 },
        http2: Http2Settings { on: false, streams_max: 128, body_preread_bytes: 64 << 10 },
        max_headers: 1000,
        merge_slashes: true,
        ignore_invalid_headers: true,
        underscores_in_headers: false,
        tls: Arc::new(ssl::defaults(folder, root.place.clone())),
        rewrite: Vec::new(),
        root: Arc::new(root.clone()),
        locations: Vec::new(),
        tree: LocationTree::default(),
        place: root.place.clone(),
    }
}

/// What a location inherits from blocks that say nothing.
pub(crate) fn location(options: &Options, error_logs: Arc<[ErrorLog]>) -> Location {
    Location {
        kind: LocationKind::Server,
        name: String::new(),
        place: Place { file: Arc::from(Path::new("")), line: 0 },
        rewrite: Vec::new(),
        handler: Handler::None,
        assigns: Vec::new(),
        client_max_body_size: 1 << 20,
        client_body_buffer_size: 16 << 10,
        client_body_timeout: MINUTE,
        send_timeout: MINUTE,
        keepalive_timeout: Duration::from_secs(75),
        keepalive_header: None,
        keepalive_requests: 1000,
        keepalive_time: Duration::from_secs(3600),
        lingering_timeout: Duration::from_secs(5),
        lingering_time: Duration::from_secs(30),
        tcp_nodelay: true,
        http2_chunk_size: 8 << 10,
        server_tokens: ServerTokens::On,
        default_type: Bytes::from_static(b"text/plain"),
        types: types(),
        error_pages: Arc::new([]),
        recursive_error_pages: false,
        absolute_redirect: true,
        port_in_redirect: true,
        server_name_in_redirect: false,
        add_headers: Arc::new([]),
        access_logs: Arc::new([]),
        error_logs,
        log_file_cache: None,
        log_subrequest: false,
        log_not_found: true,
        internal: false,
        try_files: None,
        rewrite_log: false,
        uninitialized_variable_warn: true,
        resolver: None,
        resolver_timeout: Duration::from_secs(30),
        client: Arc::new(client(options)),
        proxy: Arc::new(proxy()),
        files: Arc::new(files(options)),
        proxy_tls: Arc::new(proxy_tls()),
        filters: Arc::new(filters()),
        websocket: Arc::new(websocket()),
        access: Arc::new(access()),
        limits: Arc::new(limits()),
        real_ip: Arc::new(real_ip()),
        mirror: Arc::new(MirrorSettings { uris: Arc::new([]), body: true }),
        limit_except: None,
    }
}

fn proxy_tls() -> ProxyTls {
    ProxyTls {
        name: None,
        server_name: false,
        verify: false,
        verify_depth: 1,
        trusted_certificate: None,
        crl: None,
        certificate: None,
        key: None,
        folder: PathBuf::new(),
        password_file: None,
        tls_1_2: true,
        tls_1_3: true,
        ciphers: Arc::new(TlsCipher::ALL),
        session_reuse: true,
    }
}

/// The types that nginx knows without a `types` block.
fn types() -> Arc<HashMap<Box<str>, Bytes>> {
    let types = [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")];
    Arc::new(types.into_iter().map(|(ending, name)| (ending.into(), Bytes::from_static(name.as_bytes()))).collect())
}

fn files(options: &Options) -> FileSettings {
    let root = options.prefix.join("html").to_string_lossy().into_owned();
    FileSettings {
        prefix: options.prefix.as_path().into(),
        root: Root { path: Template::literal(root), kind: RootKind::Root },
        index: Arc::new([Template::literal("index.html")]),
        random_index: false,
        listing: false,
        listing_format: ListingFormat::Html,
        listing_exact_size: true,
        listing_local_time: false,
        etag: true,
        if_modified_since: IfModifiedSince::Exact,
        ranges_max: usize::MAX,
        symlinks: Symlinks::Followed,
        gzip_static: GzipStatic::Off,
    }
}

fn filters() -> FilterSettings {
    FilterSettings {
        gzip: GzipSettings {
            on: false,
            types: types_list::default(gzip::TYPES),
            length_min: 20,
            level: 1,
            http_1_0: false,
            proxied: GzipProxied::default(),
            vary: false,
            disabled_for: Arc::new([]),
            disabled_for_msie6: false,
        },
        gunzip: false,
        charset: CharsetSettings {
            target: None,
            source: None,
            overrides: false,
            types: types_list::default(charset::TYPES),
        },
        sub: SubSettings {
            pairs: Arc::new([]),
            once: true,
            types: types_list::default(sub_filter::TYPES),
            keeps_last_modified: false,
        },
        addition: AdditionSettings {
            before: Arc::new([]),
            after: Arc::new([]),
            types: types_list::default(addition::TYPES),
        },
        expires: Expires::Fixed(ExpiresRule::Off),
        trailers: Arc::new([]),
    }
}

fn proxy() -> ProxySettings {
    ProxySettings {
        http_version: HttpVersion::V1_0,
        set_headers: Arc::new([]),
        hide_headers: Arc::new([]),
        pass_headers: Arc::new([]),
        redirect: ProxyRedirect::Rules(Arc::new([RedirectRule::Default])),
        connect_timeout: MINUTE,
        read_timeout: MINUTE,
        send_timeout: MINUTE,
        buffering: true,
        buffers: BufferSizes { head: 4 << 10, number: 8, size: 4 << 10 },
        busy_buffers_size: 8 << 10,
        temp_file_write_size: None,
        temp_file_size_max: None,
        request_buffering: true,
        next_upstream: NextUpstream { on: RetryOn::default(), tries: 0, timeout: Duration::ZERO },
        intercept_errors: false,
        websocket: true,
        ignore_client_abort: false,
        socket_keepalive: false,
        request: RequestShape { method: None, pass_headers: true, pass_body: true, set_body: None },
        response: ResponseShape {
            ignore_headers: IgnoredHeaders::default(),
            cookie_domains: Arc::new([]),
            cookie_paths: Arc::new([]),
            cookie_flags: Arc::new([]),
            force_ranges: false,
            pass_trailers: false,
            limit_rate: SizeValue::Fixed(0),
            cache: false,
        },
        connect: ConnectShape::default(),
    }
}

fn client(options: &Options) -> ClientSettings {
    ClientSettings {
        body_file: BodyFile::Never,
        body_temp: Arc::new(TempPath { folder: options.prefix.join("client_body_temp"), levels: Vec::new() }),
        limit_rate: SizeValue::Fixed(0),
        limit_rate_after: SizeValue::Fixed(0),
        chunked_transfer_encoding: true,
        lingering_close: LingeringClose::On,
        reset_timedout_connection: false,
        keepalive_disable: KeepaliveDisable { msie6: true, safari: false },
        keepalive_min_timeout: Duration::ZERO,
        early_hints: Arc::new([]),
    }
}

fn access() -> AccessSettings {
    AccessSettings {
        rules: Arc::new([]),
        satisfy_any: false,
        realm: None,
        user_file: None,
        auth_request: None,
        auth_request_set: Arc::new([]),
        auth_delay: Duration::ZERO,
        referers: None,
        secure_link: SecureLink::default(),
    }
}

fn limits() -> LimitSettings {
    LimitSettings {
        requests: Arc::new([]),
        request_refusal: REFUSAL,
        connections: Arc::new([]),
        connection_refusal: REFUSAL,
    }
}

fn real_ip() -> RealIpSettings {
    RealIpSettings { from: Arc::new([]), header: RealIpHeader::Line("x-real-ip".into()), recursive: false }
}

fn websocket() -> WebSocketSettings {
    WebSocketSettings {
        frames: true,
        policy: Arc::default(),
        origins: None,
        subprotocols: None,
        deflate: Deflate::Pass,
        close_timeout: CLOSE_TIMEOUT,
        log_open: false,
    }
}
