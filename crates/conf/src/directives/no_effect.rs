//! Directives of nginx that can't matter here: accepted where nginx accepts them and with the values that it accepts, without
//! effect, each with the reason.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// A directive that is accepted and has no effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoEffect {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it may stand.
    pub(crate) contexts: Contexts,
    /// What its arguments are.
    pub(crate) value: Value,
    /// Why it can't matter.
    pub(crate) why: &'static str,
}

/// What arguments a directive takes. They are checked, since a mistake in one may be a mistake about another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    /// `on` or `off`.
    Flag,
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// A size in bytes.
    Size,
    /// The size of one of nginx's pools.
    Pool,
    /// One of a few sizes: powers of two, from 512 up to this one. The text is how nginx lists them.
    PowerOfTwo(usize, &'static str),
    /// A size that may pass a gigabyte.
    Offset,
    /// The same, or `off`.
    OffsetOrOff,
    /// A time with milliseconds.
    Milliseconds,
    /// A time in seconds.
    Seconds,
    /// Number and size of buffers.
    Buffers,
    /// A folder and how its subfolders are named.
    TempPath,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `on`, `off`, `threads` or a pool of threads.
    Aio,
    /// `max=` and `inactive=`, or `off`.
    FileCache,
}

impl Value {
    /// How many arguments that is.
    pub(crate) fn arity(self) -> Arity {
        match self {
            Value::Flag => Arity::Flag,
            Value::Buffers => Arity::Exactly(2),
            Value::FileCache => Arity::Between(1, 2),
            Value::TempPath => Arity::Between(1, 4),
            _ => Arity::Exactly(1),
        }
    }

    /// Checks the arguments as nginx does.
    fn check(self, scope: &Scope<'_>, directive: &Directive) -> Result<(), Fault> {
        match self {
            Value::Text => Ok(()),
            Value::Flag => directive.flag(1).map(drop),
            Value::Number => directive.number(1).map(drop),
            Value::Size => directive.size(1).map(drop),
            Value::Pool => pool_size(directive),
            Value::PowerOfTwo(most, list) => power_of_two(directive, most, list),
            Value::OffsetOrOff if directive.arg(1) == "off" => Ok(()),
            Value::Offset | Value::OffsetOrOff => directive.offset(1).map(drop),
            Value::Milliseconds => directive.milliseconds(1).map(drop),
            Value::Seconds => units::seconds(directive.arg(1)).map(drop).ok_or_else(|| directive.invalid_value(1)),
            Value::Buffers => buffers(directive),
            Value::TempPath => super::temp_path::levels(directive).map(drop),
            Value::Word(words) if words.contains(&directive.arg(1)) => Ok(()),
            Value::Word(_) => Err(directive.invalid_word(1)),
            Value::Aio => aio(scope, directive),
            Value::FileCache => file_cache(directive),
        }
    }
}

/// Accepts a directive of the list, where all is right with it.
pub(crate) fn check(scope: &mut Scope<'_>, row: &'static NoEffect, directive: &Directive) -> Result<(), Fault> {
    if scope.count(row.name) > 1 && row.name != "debug_connection" {
        return Err(Fault::new(format!("\"{}\" directive is duplicate", row.name)));
    }
    row.value.check(scope, directive)
}

/// nginx's smallest pool: its head, and entries for two large pieces.
const POOL_BYTES_MIN: usize = 112;

/// Checks the size of a pool.
pub(crate) fn pool_size(directive: &Directive) -> Result<(), Fault> {
    let size = directive.size(1)?;
    if size < POOL_BYTES_MIN {
        return Err(Fault::at(1, format!("the pool size must be no less than {POOL_BYTES_MIN}")));
    }
    if !size.is_multiple_of(16) {
        return Err(Fault::at(1, "the pool size must be a multiple of 16"));
    }
    Ok(())
}

fn power_of_two(directive: &Directive, most: usize, list: &str) -> Result<(), Fault> {
    let size = directive.size(1)?;
    match size.is_power_of_two() && (512..=most).contains(&size) {
        true => Ok(()),
        false => Err(Fault::at(1, format!("\"{}\" directive must be {list}", directive.name()))),
    }
}

fn buffers(directive: &Directive) -> Result<(), Fault> {
    units::number(directive.arg(1)).filter(|&number| number > 0).ok_or_else(|| directive.invalid_value(1))?;
    units::size(directive.arg(2)).filter(|&size| size > 0).ok_or_else(|| directive.invalid_value(2))?;
    Ok(())
}

fn aio(scope: &Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    match directive.arg(1) {
        "on" | "off" | "threads" => Ok(()),
        text => match text.strip_prefix("threads=") {
            Some(name) if name.contains('$') || name == "default" => Ok(()),
            Some(name) if scope.world.thread_pools.iter().any(|pool| pool == name) => Ok(()),
            Some(name) => Err(Fault::at(1, format!("unknown thread pool \"{name}\""))),
            None => Err(directive.invalid_value(1)),
        },
    }
}

fn file_cache(directive: &Directive) -> Result<(), Fault> {
    let mut has_max = false;
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        let max = text.strip_prefix("max=").map(|text| units::number(text).is_some_and(|max| max > 0));
        let inactive = text.strip_prefix("inactive=").map(|text| units::seconds(text).is_some());
        has_max |= max.is_some() || text == "off";
        if text != "off" && max != Some(true) && inactive != Some(true) {
            return Err(Fault::at(number, format!("invalid \"open_file_cache\" parameter \"{text}\"")));
        }
    }
    has_max.then_some(()).ok_or_else(|| Fault::new("\"open_file_cache\" must have the \"max\" parameter"))
}

const fn row(name: &'static str, contexts: Contexts, value: Value, why: &'static str) -> NoEffect {
    NoEffect { name, contexts, value, why }
}

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
    row("accept_mutex", Contexts::EVENTS, Value::Flag, EVENTS),
    row("accept_mutex_delay", Contexts::EVENTS, Value::Milliseconds, EVENTS),
    row("aio", Contexts::HTTP_TO_LOCATION, Value::Aio, FILES),
    row("aio_write", Contexts::HTTP_TO_LOCATION, Value::Flag, SPILL),
    row(
        "client_body_in_single_buffer",
        Contexts::HTTP_TO_LOCATION,
        Value::Flag,
        "A body in memory is always in one piece.",
    ),
    row("connection_pool_size", Contexts::HTTP_SERVER, Value::Pool, "Memory is not taken from pools per connection."),
    row(
        "debug_connection",
        Contexts::EVENTS,
        Value::Text,
        "It raises the level of the log for some clients to `debug`, of which Culvert writes no lines.",
    ),
    row("debug_points", Contexts::MAIN, Value::Word(&["stop", "abort"]), "A switch for debugging nginx itself."),
    row("directio", Contexts::HTTP_TO_LOCATION, Value::OffsetOrOff, FILES),
    row("directio_alignment", Contexts::HTTP_TO_LOCATION, Value::Offset, FILES),
    row("epoll_events", Contexts::EVENTS, Value::Number, "The kernel hands over as many events as are ready."),
    row("gunzip_buffers", Contexts::HTTP_TO_LOCATION, Value::Buffers, BUFFERS),
    row("gzip_buffers", Contexts::HTTP_TO_LOCATION, Value::Buffers, BUFFERS),
    row(
        "gzip_hash",
        Contexts::HTTP_TO_LOCATION,
        Value::PowerOfTwo(128 << 10, "512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k"),
        ZLIB,
    ),
    row("gzip_no_buffer", Contexts::HTTP_TO_LOCATION, Value::Flag, BUFFERS),
    row(
        "gzip_window",
        Contexts::HTTP_TO_LOCATION,
        Value::PowerOfTwo(32 << 10, "512, 1k, 2k, 4k, 8k, 16k, or 32k"),
        ZLIB,
    ),
    row("lock_file", Contexts::MAIN, Value::Text, ONE_PROCESS),
    row("map_hash_bucket_size", Contexts::HTTP, Value::Number, HASHES),
    row("map_hash_max_size", Contexts::HTTP, Value::Number, HASHES),
    row("master_process", Contexts::MAIN, Value::Flag, ONE_PROCESS),
    row("msie_padding", Contexts::HTTP_TO_LOCATION, Value::Flag, "Nobody uses the browsers that it is about."),
    row("msie_refresh", Contexts::HTTP_TO_LOCATION, Value::Flag, "Nobody uses the browsers that it is about."),
    row("multi_accept", Contexts::EVENTS, Value::Flag, "A worker thread always accepts all that is waiting."),
    row("open_file_cache", Contexts::HTTP_TO_LOCATION, Value::FileCache, CACHE),
    row("open_file_cache_errors", Contexts::HTTP_TO_LOCATION, Value::Flag, CACHE),
    row("open_file_cache_events", Contexts::HTTP_TO_LOCATION, Value::Flag, CACHE),
    row("open_file_cache_min_uses", Contexts::HTTP_TO_LOCATION, Value::Number, CACHE),
    row("open_file_cache_valid", Contexts::HTTP_TO_LOCATION, Value::Seconds, CACHE),
    row("output_buffers", Contexts::HTTP_TO_LOCATION, Value::Buffers, FILES),
    row(
        "pcre_jit",
        Contexts::MAIN,
        Value::Flag,
        "Expressions are always compiled, mostly to automata that can't run away.",
    ),
    row("postpone_gzipping", Contexts::HTTP_TO_LOCATION, Value::Size, BUFFERS),
    row(
        "postpone_output",
        Contexts::HTTP_TO_LOCATION,
        Value::Size,
        "Small pieces of a response are always written together.",
    ),
    row("proxy_headers_hash_bucket_size", Contexts::HTTP_TO_LOCATION, Value::Number, HASHES),
    row("proxy_headers_hash_max_size", Contexts::HTTP_TO_LOCATION, Value::Number, HASHES),
    row("proxy_send_lowat", Contexts::HTTP_TO_LOCATION, Value::Size, "nginx, too, ignores it on Linux."),
    row("proxy_temp_path", Contexts::HTTP_TO_LOCATION, Value::TempPath, SPILL),
    row("read_ahead", Contexts::HTTP_TO_LOCATION, Value::Size, FILES),
    row("referer_hash_bucket_size", Contexts::SERVER.and(Contexts::LOCATION), Value::Number, HASHES),
    row("referer_hash_max_size", Contexts::SERVER.and(Contexts::LOCATION), Value::Number, HASHES),
    row("request_pool_size", Contexts::HTTP_SERVER, Value::Pool, "Memory is not taken from pools per request."),
    row("send_lowat", Contexts::HTTP_TO_LOCATION, Value::Size, "nginx, too, ignores it on Linux."),
    row("sendfile", Contexts::HTTP_TO_IF, Value::Flag, FILES),
    row("sendfile_max_chunk", Contexts::HTTP_TO_LOCATION, Value::Size, FILES),
    row("server_names_hash_bucket_size", Contexts::HTTP, Value::Number, HASHES),
    row("server_names_hash_max_size", Contexts::HTTP, Value::Number, HASHES),
    row(
        "subrequest_output_buffer_size",
        Contexts::HTTP_TO_LOCATION,
        Value::Size,
        "It is for modules that Culvert has not; what `add_before_body` and `add_after_body` ask for is held up to 1 MiB.",
    ),
    row(
        "tcp_nopush",
        Contexts::HTTP_TO_LOCATION,
        Value::Flag,
        "Head and first piece of a response are always written together.",
    ),
    row("timer_resolution", Contexts::MAIN, Value::Milliseconds, "The clock is read when it is needed."),
    row("types_hash_bucket_size", Contexts::HTTP_TO_LOCATION, Value::Number, HASHES),
    row("types_hash_max_size", Contexts::HTTP_TO_LOCATION, Value::Number, HASHES),
    row("variables_hash_bucket_size", Contexts::HTTP, Value::Number, HASHES),
    row("variables_hash_max_size", Contexts::HTTP, Value::Number, HASHES),
    row("worker_aio_requests", Contexts::EVENTS, Value::Number, FILES),
];
