//! Directives of nginx that can't matter here: accepted where nginx accepts them, without effect, each with the reason.

use crate::registry::{Arity, Contexts};

/// A directive that is accepted and has no effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoEffect {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it may stand.
    pub(crate) contexts: Contexts,
    /// How many arguments it takes.
    pub(crate) args: Arity,
    /// Why it can't matter.
    pub(crate) why: &'static str,
}

const fn row(name: &'static str, contexts: Contexts, args: Arity, why: &'static str) -> NoEffect {
    NoEffect { name, contexts, args, why }
}

const ONE: Arity = Arity::Exactly(1);
const HASHES: &str = "Culvert's tables grow as they need.";
const EVENTS: &str = "Each worker thread has a listener of its own and the kernel shares connections out.";
const FILES: &str = "Files are read through the page cache into the worker's own buffer, piece by piece.";
const CACHE: &str = "Each request opens its file, so that what is on disk is what is served.";
const BUFFERS: &str = "What comes out of a compressor goes to the client piece by piece.";
const ZLIB: &str = "The compressor's tables have zlib's usual sizes.";
const SPILL: &str = "Nothing is spilled to disk: reading ahead stops when the buffers are full.";
const ONE_PROCESS: &str = "Culvert is one process with threads inside.";

/// The list.
pub(crate) const ROWS: &[NoEffect] = &[
    row("accept_mutex", Contexts::EVENTS, Arity::Flag, EVENTS),
    row("accept_mutex_delay", Contexts::EVENTS, ONE, EVENTS),
    row("aio", Contexts::HTTP_TO_LOCATION, ONE, FILES),
    row("aio_write", Contexts::HTTP_TO_LOCATION, Arity::Flag, SPILL),
    row("client_body_temp_path", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 4), SPILL),
    row(
        "client_body_in_single_buffer",
        Contexts::HTTP_TO_LOCATION,
        Arity::Flag,
        "A body in memory is always in one piece.",
    ),
    row("connection_pool_size", Contexts::HTTP_SERVER, ONE, "Memory is not taken from pools per connection."),
    row(
        "debug_connection",
        Contexts::EVENTS,
        ONE,
        "It raises the level of the log for some clients to `debug`, of which Culvert writes no lines.",
    ),
    row("debug_points", Contexts::MAIN, ONE, "A switch for debugging nginx itself."),
    row("directio", Contexts::HTTP_TO_LOCATION, ONE, FILES),
    row("directio_alignment", Contexts::HTTP_TO_LOCATION, ONE, FILES),
    row("epoll_events", Contexts::EVENTS, ONE, "The kernel hands over as many events as are ready."),
    row("gunzip_buffers", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), BUFFERS),
    row("gzip_buffers", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), BUFFERS),
    row("gzip_hash", Contexts::HTTP_TO_LOCATION, ONE, ZLIB),
    row("gzip_no_buffer", Contexts::HTTP_TO_LOCATION, Arity::Flag, BUFFERS),
    row("gzip_window", Contexts::HTTP_TO_LOCATION, ONE, ZLIB),
    row("lock_file", Contexts::MAIN, ONE, ONE_PROCESS),
    row("map_hash_bucket_size", Contexts::HTTP, ONE, HASHES),
    row("map_hash_max_size", Contexts::HTTP, ONE, HASHES),
    row("master_process", Contexts::MAIN, Arity::Flag, ONE_PROCESS),
    row("msie_padding", Contexts::HTTP_TO_LOCATION, Arity::Flag, "Nobody uses the browsers that it is about."),
    row("msie_refresh", Contexts::HTTP_TO_LOCATION, Arity::Flag, "Nobody uses the browsers that it is about."),
    row("multi_accept", Contexts::EVENTS, Arity::Flag, "A worker thread always accepts all that is waiting."),
    row("open_file_cache", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), CACHE),
    row("open_file_cache_errors", Contexts::HTTP_TO_LOCATION, Arity::Flag, CACHE),
    row("open_file_cache_events", Contexts::HTTP_TO_LOCATION, Arity::Flag, CACHE),
    row("open_file_cache_min_uses", Contexts::HTTP_TO_LOCATION, ONE, CACHE),
    row("open_file_cache_valid", Contexts::HTTP_TO_LOCATION, ONE, CACHE),
    row("output_buffers", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), FILES),
    row(
        "pcre_jit",
        Contexts::MAIN,
        Arity::Flag,
        "Expressions are always compiled, mostly to automata that can't run away.",
    ),
    row("postpone_gzipping", Contexts::HTTP_TO_LOCATION, ONE, BUFFERS),
    row("postpone_output", Contexts::HTTP_TO_LOCATION, ONE, "Small pieces of a response are always written together."),
    row("proxy_headers_hash_bucket_size", Contexts::HTTP_TO_LOCATION, ONE, HASHES),
    row("proxy_headers_hash_max_size", Contexts::HTTP_TO_LOCATION, ONE, HASHES),
    row("proxy_max_temp_file_size", Contexts::HTTP_TO_LOCATION, ONE, SPILL),
    row("proxy_send_lowat", Contexts::HTTP_TO_LOCATION, ONE, "nginx, too, ignores it on Linux."),
    row("proxy_temp_file_write_size", Contexts::HTTP_TO_LOCATION, ONE, SPILL),
    row("proxy_temp_path", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 4), SPILL),
    row("read_ahead", Contexts::HTTP_TO_LOCATION, ONE, FILES),
    row("referer_hash_bucket_size", Contexts::SERVER.and(Contexts::LOCATION), ONE, HASHES),
    row("referer_hash_max_size", Contexts::SERVER.and(Contexts::LOCATION), ONE, HASHES),
    row("request_pool_size", Contexts::HTTP_SERVER, ONE, "Memory is not taken from pools per request."),
    row("send_lowat", Contexts::HTTP_TO_LOCATION, ONE, "nginx, too, ignores it on Linux."),
    row("sendfile", Contexts::HTTP_TO_IF, Arity::Flag, FILES),
    row("sendfile_max_chunk", Contexts::HTTP_TO_LOCATION, ONE, FILES),
    row("server_names_hash_bucket_size", Contexts::HTTP, ONE, HASHES),
    row("server_names_hash_max_size", Contexts::HTTP, ONE, HASHES),
    row(
        "subrequest_output_buffer_size",
        Contexts::HTTP_TO_LOCATION,
        ONE,
        "There are no subrequests that hold a response.",
    ),
    row(
        "tcp_nopush",
        Contexts::HTTP_TO_LOCATION,
        Arity::Flag,
        "Head and first piece of a response are always written together.",
    ),
    row("timer_resolution", Contexts::MAIN, ONE, "The clock is read when it is needed."),
    row("types_hash_bucket_size", Contexts::HTTP_TO_LOCATION, ONE, HASHES),
    row("types_hash_max_size", Contexts::HTTP_TO_LOCATION, ONE, HASHES),
    row("variables_hash_bucket_size", Contexts::HTTP, ONE, HASHES),
    row("variables_hash_max_size", Contexts::HTTP, ONE, HASHES),
    row("worker_aio_requests", Contexts::EVENTS, ONE, FILES),
];
