//! `access_log`, `log_format` and the parts of `error_log`.

use super::log_target;
use crate::config::{AccessLog, AccessTarget, Batch, ErrorLog, Escape, Level, LogFileCache, LogFormat, LogTarget};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;
use culvert_engine::template::Template;
use culvert_engine::variable;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("access_log", Contexts::HTTP_TO_IF.and(Contexts::LIMIT_EXCEPT), Arity::AtLeast(1), access_log)
        .repeats()
        .doc(
        "Where lines go, the name of a `log_format` (`combined` without one), and `if=value`: a line is written unless \
         the value is empty or `0`. `off` writes none. Without a line it is `logs/access.log combined`. The first line of \
         a block replaces the inherited ones. Lines go to a file (relative to the prefix), whose path may have variables, \
         or to `syslog:server=ADDRESS[:PORT]|unix:PATH`, with `facility=` (local7), `severity=` (info), `tag=` (nginx) and \
         `nohostname`, behind commas. A worker thread writes its lines when it has nothing else to do, at the latest once \
         it has 64 KiB of them; with `buffer=SIZE` once it has so many, or the oldest is as old as `flush=TIME`. \
         `gzip[=LEVEL]` compresses each batch.",
    ),
    Row::new("log_format", Contexts::HTTP, Arity::AtLeast(2), log_format).repeats().doc(
        "A name and what a line of the access log looks like. `escape=default` writes odd bytes as `\\xXX`, \
         `escape=json` as JSON strings need it, `escape=none` as they are. `combined` is defined already, and \
         so is `websocket` where the file does not define it: a line about a WebSocket, with what it carried and how \
         it ended.",
    ),
    Row::new("log_subrequest", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.log_subrequest = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether subrequests, say those of `auth_request`, write access log lines of their own."),
    Row::new("open_log_file_cache", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 4), open_log_file_cache)
        .default("off")
        .doc(
        "Which log files whose paths have variables stay open: at most `max=N` in each worker thread, those that got \
         `min_uses=N` lines (1) within `inactive=TIME` (10 s). After `valid=TIME` (60 s) it is looked whether the path \
         still means the same file. Without it such a file is opened for each batch of lines.",
    ),
];

const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                        \"$http_referer\" \"$http_user_agent\"";

/// Culvert's own: who and when, what was asked and answered, what was carried, how it ended, and where.
const WEBSOCKET: &str = "$remote_addr [$time_local] \"$request\" $status to=$upstream_addr age=$request_time \
                         received=$websocket_messages_received/$websocket_bytes_received \
                         sent=$websocket_messages_sent/$websocket_bytes_sent code=$websocket_close_code \
                         by=$websocket_closed_by cause=$websocket_close_cause rtt=$websocket_ping_rtt \
                         protocol=\"$websocket_protocol\"";

/// The formats by name.
pub(crate) struct Formats {
    /// With the order of their definition: a name must be defined before it is used.
    named: HashMap<String, (usize, Arc<LogFormat>)>,
    /// What `websocket` means until the file defines a format of that name, as files written for nginx may.
    websocket: Arc<LogFormat>,
    /// How the lines of a file are gathered: the same for all who write there.
    batches: HashMap<PathBuf, Batch>,
}

impl Formats {
    /// The predefined formats alone.
    pub(crate) fn new() -> Formats {
        let combined = predefined("combined", COMBINED);
        let named = HashMap::from([("combined".to_owned(), (0, combined))]);
        Formats { named, websocket: predefined("websocket", WEBSOCKET), batches: HashMap::new() }
    }

    /// nginx's predefined format.
    pub(crate) fn combined(&self) -> Arc<LogFormat> {
        self.named["combined"].1.clone()
    }

    /// The format of this name for a directive that is read as the `order`-th.
    fn find(&self, name: &str, order: usize) -> Option<Arc<LogFormat>> {
        match self.named.get(name) {
            Some((defined, format)) => (*defined < order).then(|| format.clone()),
            None => (name == self.websocket.name).then(|| self.websocket.clone()),
        }
    }
}

fn predefined(name: &str, line: &str) -> Arc<LogFormat> {
    let builtin = |name: &str| variable::builtin(name).expect("predefined formats use built-in variables");
    let line = Template::parse(line, builtin).expect("predefined formats are good templates");
    Arc::new(LogFormat { name: name.into(), escape: Escape::Default, line })
}

fn log_format(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1).to_owned();
    if scope.world.formats.named.contains_key(&name) {
        return Err(Fault::at(1, format!("duplicate \"log_format\" name \"{name}\"")));
    }
    let (escape, first) = match directive.arg(2).strip_prefix("escape=") {
        None => (Escape::Default, 2),
        Some("default") => (Escape::Default, 3),
        Some("json") => (Escape::Json, 3),
        Some("none") => (Escape::None, 3),
        Some(other) => return Err(Fault::at(2, format!("unknown log format escaping \"{other}\""))),
    };
    let line: String = directive.words[first..].iter().map(|word| word.text.as_str()).collect();
    let number = first.min(directive.args().len());
    let line = scope.template_of(directive, number, &line).map_err(|fault| match fault.message.as_str() {
        "invalid variable name" => Fault::at(number, format!("invalid parameter \"{}\"", from_bare_dollar(&line))),
        _ => fault,
    })?;
    let format = Arc::new(LogFormat { name: name.clone(), escape, line });
    scope.world.formats.named.insert(name, (directive.order, format));
    Ok(())
}

/// A format from the dollar sign on that no name follows, as nginx shows it.
fn from_bare_dollar(line: &str) -> &str {
    let is_bare = |at: &usize| {
        let after = line[at + 1..].trim_start_matches('{');
        !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    line.match_indices('$').map(|(at, _)| at).find(is_bare).map_or(line, |at| &line[at..])
}

fn access_log(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_first = scope.is_first(directive);
    if directive.arg(1) == "off" {
        scope.access_log_off = true;
        return if directive.args().len() == 1 { Ok(()) } else { Err(directive.invalid_parameter(2)) };
    }
    let target = log_target::access(scope, directive)?;
    let name = directive.args().get(1).map_or("combined", |word| &word.text);
    let format = scope.world.formats.find(name, directive.order);
    let format = format.ok_or_else(|| Fault::at(2, format!("unknown log format \"{name}\"")))?;
    let mut condition = None;
    let mut draft = BatchDraft::default();
    for number in 3..=directive.args().len() {
        match directive.arg(number).strip_prefix("if=") {
            Some(value) => condition = Some(scope.template_of(directive, number, value)?),
            None => draft.take(directive, number)?,
        }
    }
    let batch = draft.finish(directive, &target)?;
    if let (AccessTarget::Fixed(LogTarget::File(path)), Some(batch)) = (&target, batch) {
        let known = *scope.world.formats.batches.entry(path.clone()).or_insert(batch);
        if known != batch {
            let message = format!("access_log \"{}\" already defined with conflicting parameters", path.display());
            return Err(Fault::at(1, message));
        }
    }
    push(&mut scope.location.access_logs, is_first, AccessLog { target, format, condition, batch });
    Ok(())
}

/// `buffer=`, `flush=` and `gzip=` while they are read.
#[derive(Default)]
struct BatchDraft {
    bytes: Option<usize>,
    flush: Option<Duration>,
    gzip: Option<u32>,
}

/// What `gzip` gathers where no `buffer=` says it.
const GZIP_BYTES: usize = 64 * 1024;

impl BatchDraft {
    fn take(&mut self, directive: &Directive, number: usize) -> Result<(), Fault> {
        let fault = |what: &str, value: &str| Fault::at(number, format!("invalid {what} \"{value}\""));
        match directive.arg(number).split_once('=') {
            Some(("buffer", size)) => {
                let bytes = units::size(size).filter(|&bytes| bytes > 0);
                self.bytes = Some(bytes.ok_or_else(|| fault("buffer size", size))?);
            }
            Some(("flush", time)) => {
                let flush = units::milliseconds(time).filter(|time| !time.is_zero());
                self.flush = Some(flush.ok_or_else(|| fault("flush time", time))?);
            }
            Some(("gzip", level)) => {
                let good = units::number(level).filter(|level| (1..=9).contains(level));
                self.gzip = Some(good.ok_or_else(|| fault("compression level", level))? as u32);
            }
            None if directive.arg(number) == "gzip" => self.gzip = Some(1),
            _ => return Err(directive.invalid_parameter(number)),
        }
        Ok(())
    }

    fn finish(self, directive: &Directive, target: &AccessTarget) -> Result<Option<Batch>, Fault> {
        let bytes = self.bytes.or(self.gzip.map(|_| GZIP_BYTES));
        let Some(bytes) = bytes else {
            return match self.flush {
                None => Ok(None),
                Some(_) => Err(Fault::at(1, format!("no buffer is defined for access_log \"{}\"", directive.arg(1)))),
            };
        };
        match target {
            AccessTarget::Computed(_) => Err(Fault::at(1, "buffered logs cannot have variables in name")),
            AccessTarget::Fixed(LogTarget::Syslog(_)) => Err(Fault::at(1, "logs to syslog cannot be buffered")),
            AccessTarget::Fixed(_) => Ok(Some(Batch { bytes, flush: self.flush, gzip: self.gzip })),
        }
    }
}

fn open_log_file_cache(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut cache =
        LogFileCache { max: 0, inactive: Duration::from_secs(10), min_uses: 1, valid: Duration::from_secs(60) };
    let mut is_off = false;
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        let good = match text.split_once('=') {
            None if text == "off" => {
                is_off = true;
                Some(())
            }
            Some(("max", value)) => units::number(value).map(|max| cache.max = max as usize),
            Some(("min_uses", value)) => {
                units::number(value).filter(|&uses| uses > 0).map(|uses| cache.min_uses = uses as u32)
            }
            Some(("inactive", value)) => units::seconds(value).map(|time| cache.inactive = time),
            Some(("valid", value)) => units::seconds(value).map(|time| cache.valid = time),
            _ => None,
        };
        good.ok_or_else(|| Fault::at(number, format!("invalid \"open_log_file_cache\" parameter \"{text}\"")))?;
    }
    if !is_off && cache.max == 0 {
        return Err(Fault::new("\"open_log_file_cache\" must have \"max\" parameter"));
    }
    scope.location.log_file_cache = (!is_off).then_some(cache);
    Ok(())
}

/// `error_log` of the main context.
pub(crate) fn error_log_main(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let log = parse_error_log(scope, directive)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.world.main.error_log, is_first, log);
    Ok(())
}

/// `error_log` of the blocks in `http`.
pub(crate) fn error_log(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let log = parse_error_log(scope, directive)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.location.error_logs, is_first, log);
    Ok(())
}

fn parse_error_log(scope: &Scope<'_>, directive: &Directive) -> Result<ErrorLog, Fault> {
    let target = log_target::error(scope, directive)?;
    let mut level = Level::Error;
    for number in 2..=directive.args().len() {
        let text = directive.arg(number);
        let found = LEVELS.into_iter().find(|level| level.name() == text);
        level = found.ok_or_else(|| Fault::at(number, format!("invalid log level \"{text}\"")))?;
        if number > 2 {
            return Err(Fault::at(number, format!("duplicate log level \"{text}\"")));
        }
    }
    Ok(ErrorLog { target, level })
}

/// All levels, for their names.
pub(super) const LEVELS: [Level; 8] =
    [Level::Emerg, Level::Alert, Level::Crit, Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];
