//! Culvert's configuration language. What enters is the bytes of `nginx.conf` and the files that it includes; what
//! leaves is a typed [`Config`], or all that is wrong with the files, each fact with its place. This
//! crate is the only one that knows directive names. It reads files, and never opens a socket, resolves a host name or
//! writes anything.

mod address;
pub mod config;
mod defaults;
mod diagnostic;
mod directives;
mod include;
mod lexer;
mod parser;
mod patterns;
mod reference;
mod registry;
mod scope;
mod source;
mod suggest;
mod syntax;
mod units;
mod unsupported_variables;
mod values;
mod variables;

pub use config::Config;
pub use diagnostic::{Diagnostic, Report};
pub use reference::{metrics_markdown, nginx_markdown, reference_markdown, variables_markdown};
pub use source::{Source, SourceLine, Span};

use config::{Http, Level, Place};
use directives::log::Formats;
use directives::proxy_cache::Caches;
use directives::zones::Zones;
use parser::Parsed;
use patterns::Patterns;
use registry::{Contexts, Meaning};
use scope::{Scope, World};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suggest::Suggestions;
use syntax::{Block, Directive, Word};
use variables::Variables;

/// What the command line says about the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file, absolute (`-c`). Relative `include`s begin at its folder.
    pub file: PathBuf,
    /// The prefix, absolute (`-p`): where all other relative paths begin.
    pub prefix: PathBuf,
    /// Directives that stand in front of the file (`-g`).
    pub globals: Option<String>,
    /// The default error log (`-e`): a path or `stderr`.
    pub error_log: Option<String>,
    /// Whether the process may become another user and take ports below 1024.
    pub is_root: bool,
    /// The program's name: what the default pid file is called after.
    pub program: String,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the files say.
    pub config: Config,
    /// What is odd about them, in the order of the files.
    pub warnings: Vec<Diagnostic>,
    /// The files, each once, in the order in which they were first read, as `-T` prints them.
    pub sources: Vec<Source>,
}

/// A size in bytes as configuration files write it (`10k`, `1m`); `None` for anything else.
pub fn size(text: &[u8]) -> Option<u64> {
    units::size(std::str::from_utf8(text).ok()?).and_then(|size| u64::try_from(size).ok())
}

/// Reads a configuration file and everything that it includes.
///
/// # Errors
///
/// All that is wrong, in the order in which nginx would meet it.
pub fn load(options: &Options) -> Result<Loaded, Report> {
    let Parsed { mut items, sources, diagnostics, incomplete } =
        parser::parse(&options.file, options.globals.as_deref());
    wrap_snippet(&mut items);
    let mut world = World {
        options: options.clone(),
        main: defaults::main(options),
        servers: Vec::new(),
        upstreams: Vec::new(),
        passed_to: HashMap::new(),
        maps: Vec::new(),
        tables: Default::default(),
        variables: Variables::default(),
        patterns: Patterns::default(),
        formats: Formats::new(),
        zones: Zones::default(),
        caches: Caches::default(),
        charsets: config::Charsets::default(),
        matches: Vec::new(),
        suggestions: Suggestions::default(),
        diagnostics,
        thread_pools: Vec::new(),
    };
    world.variables.note_definitions(&items);
    let location = defaults::location(options, world.main.error_log.clone());
    let server = defaults::server(&location, PathBuf::new());
    let mut scope = Scope::new(&mut world, server, location);
    scope.walk(&items);
    directives::process::settle(&mut scope, &items);
    finish(world, sources, incomplete)
}

fn finish(mut world: World, sources: Vec<Source>, incomplete: bool) -> Result<Loaded, Report> {
    let asks_tcp_info = world.variables.asks_tcp_info;
    let (slots, unknown) = world.variables.finish(&mut world.suggestions);
    let mut diagnostics = world.diagnostics;
    if !incomplete {
        diagnostics.extend(unknown);
        diagnostics.extend(world.zones.finish());
        diagnostics.extend(world.caches.finish());
    }
    diagnostics.sort_by_key(|found| found.order);
    if diagnostics.iter().any(|found| found.level <= Level::Error) {
        return Err(Report { diagnostics, sources });
    }
    let World { servers, upstreams, maps, tables, charsets, .. } = world;
    let http = Http { servers, upstreams, maps, tables, slots, asks_tcp_info, charsets };
    let sources = once_each(sources, &mut diagnostics);
    Ok(Loaded { config: Config { main: world.main, http }, warnings: diagnostics, sources })
}

/// Keeps the first reading of each file and drops the text of `-g`; the spans of `diagnostics` follow.
fn once_each(all: Vec<Source>, diagnostics: &mut [Diagnostic]) -> Vec<Source> {
    let mut kept: Vec<Source> = Vec::new();
    let mut numbers: HashMap<Arc<Path>, usize> = HashMap::new();
    let mut moved: Vec<Option<usize>> = Vec::new();
    for source in all {
        if source.is_parameter {
            moved.push(None);
            continue;
        }
        let number = *numbers.entry(source.path.clone()).or_insert(kept.len());
        moved.push(Some(number));
        if number == kept.len() {
            kept.push(source);
        }
    }
    for diagnostic in diagnostics {
        diagnostic.span = diagnostic.span.and_then(|span| Some(Span { source: moved[span.source]?, ..span }));
    }
    kept
}

/// Reads a file that is the inside of an `http` block as if the block stood around it: one without `http` whose top
/// level has directives that only `http` allows.
fn wrap_snippet(items: &mut Vec<Directive>) {
    let is_snippet = items.iter().any(belongs_to_http) && !items.iter().any(|item| item.name() == "http");
    if !is_snippet {
        return;
    }
    let (inside, outside): (Vec<_>, Vec<_>) = items.drain(..).partition(belongs_to_http);
    let (place, span, order) = {
        let first: &Directive = inside.first().expect("a snippet has at least one directive of http");
        (first.place.clone(), first.words[0].span, first.order)
    };
    *items = outside;
    let word = Word { text: "http".into(), span };
    let close: Option<(Place, usize)> = inside.last().map(|last| (last.place.clone(), usize::MAX));
    items.push(Directive { words: vec![word], block: Some(Block { items: inside, close }), place, order });
}

/// Whether a directive may stand in `http` but not outside all blocks.
fn belongs_to_http(directive: &Directive) -> bool {
    let only_http = |contexts: Contexts| contexts.meets(Contexts::HTTP) && !contexts.meets(Contexts::MAIN);
    match registry::meaning(directive.name()) {
        Some(Meaning::Works(rows)) => {
            rows.iter().any(|row| only_http(row.contexts)) && !rows.iter().any(|row| row.contexts.meets(Contexts::MAIN))
        }
        Some(Meaning::NoEffect(row)) => only_http(row.contexts),
        Some(Meaning::Unsupported(_)) | None => false,
    }
}
