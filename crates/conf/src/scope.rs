//! Walking the tree: a [`Scope`] is one block with the values that it inherited, [`World`] is what all blocks share.
//!
//! Each block is walked in the order of [`Phase`](crate::registry::Phase): its values, what it defines by name, its
//! child blocks. A child starts from a clone of its parent's resolved values.

use crate::Options;
use crate::config::{
    AccessSettings, Charsets, ClientSettings, FileSettings, FilterSettings, Level, LimitSettings, Location, Main, Map,
    MirrorSettings, Place, ProxySettings, ProxyTls, RealIpSettings, Server, SizeValue, Step, Tables, TlsSettings,
    Upstream, WebSocketSettings,
};
use crate::diagnostic::{Diagnostic, Fault};
use crate::directives;
use crate::directives::log::Formats;
use crate::directives::no_effect;
use crate::directives::proxy_cache::Caches;
use crate::directives::unsupported;
use crate::directives::zones::Zones;
use crate::patterns::Patterns;
use crate::registry::{self, Arity, Contexts, Meaning, Phase, Row};
use crate::suggest::Suggestions;
use crate::syntax::{Block, Directive};
use crate::variables::Variables;
use culvert_engine::health::Match;
use culvert_engine::route::LocationTree;
use culvert_engine::template::Template;
use culvert_engine::websocket::Policy;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What all blocks of a configuration share while it is read.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) main: Main,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) upstreams: Vec<Upstream>,
    /// Which upstream an address in a `proxy_pass` leads to, with the port that holds where it names none.
    pub(crate) passed_to: HashMap<(String, u16), usize>,
    pub(crate) maps: Vec<Map>,
    pub(crate) tables: Tables,
    pub(crate) variables: Variables,
    pub(crate) patterns: Patterns,
    pub(crate) formats: Formats,
    pub(crate) zones: Zones,
    pub(crate) caches: Caches,
    pub(crate) charsets: Charsets,
    /// The `match` blocks.
    pub(crate) matches: Vec<Arc<Match>>,
    /// What misspelt names may have meant.
    pub(crate) suggestions: Suggestions,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The names of `thread_pool`s.
    pub(crate) thread_pools: Vec<String>,
}

/// One block while it is read.
pub(crate) struct Scope<'w> {
    pub(crate) world: &'w mut World,
    /// What kind of block this is: one bit.
    pub(crate) context: Contexts,
    /// In `http` what servers inherit, in `server` the server itself.
    pub(crate) server: Server,
    /// In `http` and `server` what locations inherit, in `location` the location itself.
    pub(crate) location: Location,
    /// The locations of this server so far. A hole is one whose block is being read.
    pub(crate) locations: Vec<Option<Arc<Location>>>,
    /// How a URI finds the locations of this block.
    pub(crate) tree: LocationTree,
    /// The `upstream` that this block is.
    pub(crate) upstream: Option<Upstream>,
    /// `access_log off` stands in this block, and wins over other lines of it.
    pub(crate) access_log_off: bool,
    /// `proxy_busy_buffers_size` was given here or above; otherwise it follows the other sizes.
    pub(crate) busy_buffers_given: bool,
    /// The places of the rewrite steps among all directives: a block among them is read later than the lines around it.
    step_orders: Vec<usize>,
    /// How often each directive was seen in this block.
    seen: Vec<(&'static str, usize)>,
    /// The directives that the block's closing checks point at.
    last: Vec<(&'static str, (Place, crate::source::Span, usize))>,
}

impl<'w> Scope<'w> {
    /// The main context.
    pub(crate) fn new(world: &'w mut World, server: Server, location: Location) -> Scope<'w> {
        Scope {
            world,
            context: Contexts::MAIN,
            server,
            location,
            locations: Vec::new(),
            tree: LocationTree::default(),
            upstream: None,
            access_log_off: false,
            busy_buffers_given: false,
            step_orders: Vec::new(),
            seen: Vec::new(),
            last: Vec::new(),
        }
    }

    /// A block inside this one, with the values that it inherits.
    pub(crate) fn child(&mut self, context: Contexts) -> Scope<'_> {
        let mut location = self.location.clone();
        location.rewrite = Vec::new();
        location.assigns = Vec::new();
        location.try_files = None;
        location.limit_except = None;
        if context != Contexts::LOCATION_IF {
            location.handler = crate::config::Handler::None;
        }
        let mut child = Scope::new(&mut *self.world, self.server.clone(), location);
        child.context = context;
        child.busy_buffers_given = self.busy_buffers_given;
        child
    }

    /// Reads the directives of this block.
    pub(crate) fn walk(&mut self, items: &[Directive]) {
        let mut found: Vec<(&'static Row, &Directive)> =
            items.iter().filter_map(|directive| Some((self.look_up(directive)?, directive))).collect();
        found.sort_by_key(|(row, _)| row.phase);
        let values = found.partition_point(|(row, _)| row.phase == Phase::Value);
        self.apply_all(&found[..values]);
        directives::settle(self);
        self.apply_all(&found[values..]);
    }

    fn apply_all(&mut self, found: &[(&'static Row, &Directive)]) {
        for (row, directive) in found {
            if let Err(fault) = self.apply(row, directive) {
                self.fault(directive, fault);
            }
        }
    }

    fn apply(&mut self, row: &'static Row, directive: &Directive) -> Result<(), Fault> {
        if self.count(row.name) > 1 && !row.repeats {
            return Err(Fault::new(format!("\"{}\" directive is duplicate", row.name)));
        }
        let here = (directive.place.clone(), directive.words[0].span, directive.order);
        match self.last.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, last)) => *last = here,
            None => self.last.push((row.name, here)),
        }
        (row.set)(self, directive)
    }

    /// Counts one more directive of this name. A block has few names, so that a list is quicker than a table.
    pub(crate) fn count(&mut self, name: &'static str) -> usize {
        match self.seen.iter_mut().find(|(seen, _)| *seen == name) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.seen.push((name, 1));
                1
            }
        }
    }

    fn look_up(&mut self, directive: &Directive) -> Option<&'static Row> {
        let found = match registry::meaning(directive.name()) {
            None => Err(self.unknown(directive)),
            Some(Meaning::Unsupported(group)) => unsupported::check(directive, group).map(|()| None),
            Some(Meaning::NoEffect(row)) => self.accept_no_effect(row, directive).map(|()| None),
            Some(Meaning::Works(rows)) => choose(self.context, rows, directive).map(Some),
        };
        found.unwrap_or_else(|fault| {
            self.fault(directive, fault);
            None
        })
    }

    fn accept_no_effect(&mut self, row: &'static no_effect::NoEffect, directive: &Directive) -> Result<(), Fault> {
        if !row.contexts.meets(self.context) {
            return Err(not_here(directive));
        }
        check_shape(false, row.value.arity(), directive)?;
        no_effect::check(self, row, directive)
    }

    fn unknown(&mut self, directive: &Directive) -> Fault {
        let fault = Fault::new(format!("unknown directive \"{}\"", directive.name()));
        match self.world.suggestions.nearest(directive.name(), registry::names()) {
            Some(name) => fault.hint(format!("did you mean \"{name}\"?")),
            None => fault,
        }
    }

    /// Whether this is the first directive of its name in this block, so that it replaces an inherited list.
    pub(crate) fn is_first(&self, directive: &Directive) -> bool {
        self.seen.iter().any(|&(name, count)| name == directive.name() && count == 1)
    }

    /// How often a directive stands in this block (among those read so far).
    pub(crate) fn times_seen(&self, name: &str) -> usize {
        self.seen.iter().find(|&&(seen, _)| seen == name).map_or(0, |&(_, count)| count)
    }

    /// Whether a directive stands in this block (among those read so far).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.seen.iter().any(|&(seen, _)| seen == name)
    }

    /// The proxy module's values of this block, to change.
    pub(crate) fn proxy(&mut self) -> &mut ProxySettings {
        Arc::make_mut(&mut self.location.proxy)
    }

    /// Where files are, to change.
    pub(crate) fn files(&mut self) -> &mut FileSettings {
        Arc::make_mut(&mut self.location.files)
    }

    /// How this block treats connections of clients, to change.
    pub(crate) fn client(&mut self) -> &mut ClientSettings {
        Arc::make_mut(&mut self.location.client)
    }

    /// What this block says of TLS towards servers, to change.
    pub(crate) fn proxy_tls(&mut self) -> &mut ProxyTls {
        Arc::make_mut(&mut self.location.proxy_tls)
    }

    /// What happens to responses on their way out, to change.
    pub(crate) fn filters(&mut self) -> &mut FilterSettings {
        Arc::make_mut(&mut self.location.filters)
    }

    /// What this block says about WebSockets, to change.
    pub(crate) fn websocket(&mut self) -> &mut WebSocketSettings {
        Arc::make_mut(&mut self.location.websocket)
    }

    /// What this block says about their frames, to change.
    pub(crate) fn frame_policy(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.websocket().policy)
    }

    /// Adds a step of the rewrite phase, in the order of the file.
    pub(crate) fn push_step(&mut self, directive: &Directive, step: Step) {
        let at = self.step_orders.partition_point(|&order| order < directive.order);
        self.step_orders.insert(at, directive.order);
        self.location.rewrite.insert(at, step);
    }

    /// What this block says of TLS towards clients, to change.
    pub(crate) fn tls(&mut self) -> &mut TlsSettings {
        Arc::make_mut(&mut self.server.tls)
    }

    /// An absolute path from one relative to the configuration file.
    pub(crate) fn conf_path(&self, path: &str) -> PathBuf {
        let folder = self.world.options.file.parent();
        folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }

    /// What this block says of who may pass, to change.
    pub(crate) fn access(&mut self) -> &mut AccessSettings {
        Arc::make_mut(&mut self.location.access)
    }

    /// What this block limits, to change.
    pub(crate) fn limits(&mut self) -> &mut LimitSettings {
        Arc::make_mut(&mut self.location.limits)
    }

    /// Whom this block believes about addresses, to change.
    pub(crate) fn real_ip(&mut self) -> &mut RealIpSettings {
        Arc::make_mut(&mut self.location.real_ip)
    }

    /// Whom this block sends copies, to change.
    pub(crate) fn mirror(&mut self) -> &mut MirrorSettings {
        Arc::make_mut(&mut self.location.mirror)
    }

    /// An absolute path from one relative to the configuration file's folder; one that begins with a variable stays.
    pub(crate) fn path_beside(&self, path: &str) -> String {
        match path.starts_with('$') {
            true => path.to_owned(),
            false => self.conf_path(path).to_string_lossy().into_owned(),
        }
    }

    /// An absolute path from one relative to the prefix.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.world.options.prefix.join(path)
    }

    /// An argument with variables.
    pub(crate) fn template(&mut self, directive: &Directive, number: usize) -> Result<Template, Fault> {
        self.template_of(directive, number, directive.arg(number))
    }

    /// An argument that is a size, known or with variables.
    pub(crate) fn size_value(&mut self, directive: &Directive, number: usize) -> Result<SizeValue, Fault> {
        match directive.arg(number).contains('$') {
            true => self.template(directive, number).map(SizeValue::Rendered),
            false => directive.size(number).map(|bytes| SizeValue::Fixed(bytes as u64)),
        }
    }

    /// A part of an argument with variables.
    pub(crate) fn template_of(&mut self, directive: &Directive, number: usize, text: &str) -> Result<Template, Fault> {
        self.world.variables.template(directive, number, text)
    }

    /// Reports what is wrong with a directive.
    pub(crate) fn fault(&mut self, directive: &Directive, fault: Fault) {
        self.tell(Level::Emerg, directive, fault);
    }

    /// Reports what is odd about a directive.
    pub(crate) fn warn(&mut self, directive: &Directive, fault: Fault) {
        self.tell(Level::Warn, directive, fault);
    }

    fn tell(&mut self, level: Level, directive: &Directive, fault: Fault) {
        self.world.diagnostics.push(Diagnostic {
            level,
            message: fault.message,
            place: Some(directive.place.clone()),
            span: directive.words.get(fault.word).map(|word| word.span),
            suggestion: fault.suggestion,
            order: directive.order,
        });
    }

    /// Reports what several directives of a block imply, at the last of them; at the block itself where all are
    /// inherited.
    pub(crate) fn fault_at_last(&mut self, names: &[&str], message: &str) {
        let last = self.last.iter().filter(|(name, _)| names.contains(name)).map(|(_, last)| last);
        let last = last.max_by_key(|(_, _, order)| *order).cloned();
        let (span, order) = last.as_ref().map_or((None, usize::MAX), |(_, span, order)| (Some(*span), *order));
        let place = Some(last.map_or_else(|| self.location.place.clone(), |(place, _, _)| place));
        let (level, message) = (Level::Emerg, message.into());
        self.world.diagnostics.push(Diagnostic { level, message, place, span, suggestion: None, order });
    }

    /// Reports what only the end of a block shows, at its closing brace. Silent where reading never came so far.
    pub(crate) fn fault_at_close(&mut self, directive: &Directive, message: &str) {
        let Some((place, order)) = directive.block.as_ref().and_then(|block: &Block| block.close.clone()) else {
            return;
        };
        self.world.diagnostics.push(Diagnostic {
            level: Level::Emerg,
            message: message.into(),
            place: Some(place),
            span: Some(directive.words[0].span),
            suggestion: None,
            order,
        });
    }
}

/// Adds to a list that a block inherits: the first line of a block replaces what was inherited.
pub(crate) fn push<T: Clone>(list: &mut Arc<[T]>, is_first: bool, item: T) {
    let mut items = if is_first { Vec::new() } else { list.to_vec() };
    items.push(item);
    *list = items.into();
}

/// The row that applies in this block, after nginx's checks in nginx's order.
fn choose(context: Contexts, rows: &[&'static Row], directive: &Directive) -> Result<&'static Row, Fault> {
    let row = rows.iter().find(|row| row.contexts.meets(context)).copied().ok_or_else(|| {
        let all = rows.iter().flat_map(|row| row.contexts.names()).collect::<Vec<_>>().join(", ");
        not_here(directive).hint(format!("it may stand in: {all}"))
    })?;
    check_shape(row.block, row.args, directive)?;
    Ok(row)
}

fn not_here(directive: &Directive) -> Fault {
    Fault::new(format!("\"{}\" directive is not allowed here", directive.name()))
}

fn check_shape(block: bool, args: Arity, directive: &Directive) -> Result<(), Fault> {
    let name = directive.name();
    match (block, directive.block.is_some()) {
        (false, true) => return Err(Fault::new(format!("directive \"{name}\" is not terminated by \";\""))),
        (true, false) => return Err(Fault::new(format!("directive \"{name}\" has no opening \"{{\""))),
        _ => {}
    }
    if !args.accepts(directive.args().len()) {
        return Err(Fault::new(format!("invalid number of arguments in \"{name}\" directive")));
    }
    Ok(())
}
