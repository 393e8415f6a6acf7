//! `access_log`, `log_format` and the parts of `error_log`.

use crate::config::{AccessLog, ErrorLog, Escape, Level, LogFormat, LogTarget};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;
use culvert_engine::template::Template;
use culvert_engine::variable;
use std::collections::HashMap;
use std::sync::Arc;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("access_log", Contexts::HTTP_TO_IF.and(Contexts::LIMIT_EXCEPT), Arity::AtLeast(1), access_log)
        .repeats()
        .doc(
        "A file (relative to the prefix), the name of a `log_format` (`combined` without one), and `if=value`: a line \
         is written unless the value is empty or `0`. `off` writes none. Without a line it is `logs/access.log \
         combined`. The first line of a block replaces the inherited ones. `buffer=` and `flush=` are accepted and \
         change nothing, since Culvert always writes in batches; `gzip`, `syslog:` and variables in the path are not \
         supported yet.",
    ),
    Row::new("log_format", Contexts::HTTP, Arity::AtLeast(2), log_format).repeats().doc(
        "A name and what a line of the access log looks like. `escape=default` writes odd bytes as `\\xXX`, \
         `escape=json` as JSON strings need it, `escape=none` as they are. `combined` is defined already, and \
         so is `websocket` where the file does not define it: a line about a WebSocket, with what it carried and how \
         it ended.",
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
}

impl Formats {
    /// The predefined formats alone.
    pub(crate) fn new() -> Formats {
        let combined = predefined("combined", COMBINED);
        let named = HashMap::from([("combined".to_owned(), (0, combined))]);
        Formats { named, websocket: predefined("websocket", WEBSOCKET) }
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
    let target = access_target(scope, directive)?;
    let name = directive.args().get(1).map_or("combined", |word| &word.text);
    let format = scope.world.formats.find(name, directive.order);
    let format = format.ok_or_else(|| Fault::at(2, format!("unknown log format \"{name}\"")))?;
    let mut condition = None;
    for number in 3..=directive.args().len() {
        if let Some(value) = directive.arg(number).strip_prefix("if=") {
            condition = Some(scope.template_of(directive, number, value)?);
        } else {
            check_batching(directive, number)?;
        }
    }
    let has = |head: &str| directive.args().iter().any(|word| word.text.starts_with(head));
    if has("flush=") && !has("buffer=") {
        return Err(Fault::at(1, format!("no buffer is defined for access_log \"{}\"", directive.arg(1))));
    }
    push(&mut scope.location.access_logs, is_first, AccessLog { target, format, condition });
    Ok(())
}

fn access_target(scope: &Scope<'_>, directive: &Directive) -> Result<LogTarget, Fault> {
    let path = directive.arg(1);
    if path.starts_with("syslog:") || path.contains('$') {
        let what = if path.contains('$') { "a path with variables" } else { "syslog" };
        return Err(Fault::at(1, format!("{what} in the \"access_log\" directive is not supported by Culvert yet")));
    }
    Ok(LogTarget::File(scope.path(path)))
}

fn check_batching(directive: &Directive, number: usize) -> Result<(), Fault> {
    let text = directive.arg(number);
    if let Some(size) = text.strip_prefix("buffer=") {
        let good = units::size(size).is_some_and(|size| size > 0);
        return if good { Ok(()) } else { Err(Fault::at(number, format!("invalid buffer size \"{size}\""))) };
    }
    if let Some(time) = text.strip_prefix("flush=") {
        let good = units::milliseconds(time).is_some_and(|time| !time.is_zero());
        return if good { Ok(()) } else { Err(Fault::at(number, format!("invalid flush time \"{time}\""))) };
    }
    if text == "gzip" || text.starts_with("gzip=") {
        return Err(directive.unsupported_parameter(number));
    }
    Err(directive.invalid_parameter(number))
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
    let target = match directive.arg(1) {
        "stderr" => LogTarget::Stderr,
        path if path.starts_with("syslog:") || path.starts_with("memory:") => {
            let kind = if path.starts_with("syslog:") { "syslog" } else { "memory" };
            return Err(Fault::at(1, format!("{kind} in the \"error_log\" directive is not supported by Culvert yet")));
        }
        path => LogTarget::File(scope.path(path)),
    };
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

const LEVELS: [Level; 8] =
    [Level::Emerg, Level::Alert, Level::Crit, Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];
