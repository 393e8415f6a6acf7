//! The main context and `events`.

use crate::config::User;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("daemon", Contexts::MAIN, Arity::Flag, |scope, directive| {
        scope.world.main.daemon = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether the gateway leaves the terminal and works in the background."),
    Row::new("error_log", Contexts::MAIN, Arity::AtLeast(1), super::log::error_log_main).repeats().doc(
        "A file (relative to the prefix) or `stderr`, and the least severe level that is written there: `debug`, \
             `info`, `notice`, `warn`, `error` (the default), `crit`, `alert` or `emerg`. Several lines write to \
             several places. Without a line it is `logs/error.log error`, or what `-e` says. `syslog:` takes the \
             parameters that `access_log` has; the severity is the line's own. `memory:` is not supported.",
    ),
    Row::block("events", Contexts::MAIN, Arity::Exactly(0), Phase::Child, events).doc(
        "Holds the directives about connections. nginx insists on this block; Culvert takes the defaults without \
             it.",
    ),
    Row::block("http", Contexts::MAIN, Arity::Exactly(0), Phase::Child, super::server::http).doc(
        "Holds servers, upstreams and what they share. A file without it that has `http` directives at its top level \
         (`map`, `upstream`, `server`, …) is read as if they stood in one: an extension, so that a snippet runs as it \
         stands.",
    ),
    Row::new("include", Contexts::ANY, Arity::Exactly(1), |_, _| Ok(())).repeats().doc(
        "Puts the content of another file here, or of all files that match a mask, in sorted order. Relative paths \
         begin at the folder of the main configuration file. A mask without a match is fine, a missing file is an \
         error, and a file that includes itself is reported as a loop.",
    ),
    Row::new("pid", Contexts::MAIN, Arity::Exactly(1), |scope, directive| {
        scope.world.main.pid = (directive.arg(1) != "off").then(|| scope.path(directive.arg(1)));
        Ok(())
    })
    .default("logs/culvert.pid")
    .doc(
        "The file that holds the process id once all listeners are bound; `off` writes none. nginx's default is \
         `logs/nginx.pid`.",
    ),
    Row::new("use", Contexts::EVENTS, Arity::Exactly(1), |_, directive| match directive.arg(1) {
        "epoll" | "poll" | "select" => Ok(()),
        other => Err(Fault::at(1, format!("invalid event type \"{other}\""))),
    })
    .doc("The event method: `epoll`, `poll` or `select`. It has no effect, since Culvert always uses epoll."),
    Row::new("user", Contexts::MAIN, Arity::Between(1, 2), user).doc(
        "The account, and its group (by default the group of the same name), whom a start as root becomes once the \
         sockets are bound. Without root it has no effect, and a warning says so.",
    ),
    Row::new("worker_connections", Contexts::EVENTS, Arity::Exactly(1), worker_connections)
        .default("512")
        .doc("How many connections one worker thread may hold at once, those to upstream servers included."),
    Row::new("worker_processes", Contexts::MAIN, Arity::Exactly(1), worker_processes).default("1").doc(
        "How many worker threads share the work; `auto` is one per core. Culvert is one process, so these are \
             threads.",
    ),
    Row::new("worker_rlimit_nofile", Contexts::MAIN, Arity::Exactly(1), |scope, directive| {
        scope.world.main.worker_rlimit_nofile = Some(directive.number(1)?);
        Ok(())
    })
    .doc("The limit on open descriptors to ask for. Without it Culvert asks for all that the hard limit allows."),
    Row::new("worker_shutdown_timeout", Contexts::MAIN, Arity::Exactly(1), |scope, directive| {
        let limit = directive.milliseconds(1)?;
        scope.world.main.worker_shutdown_timeout = (!limit.is_zero()).then_some(limit);
        Ok(())
    })
    .default("0")
    .doc("How long a graceful stop waits for requests and tunnels before it closes them; 0 waits for ever."),
];

fn events(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.child(Contexts::EVENTS).walk(directive.items());
    Ok(())
}

fn user(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if !scope.world.options.is_root {
        let message =
            "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored";
        scope.warn(directive, Fault::new(message));
        return Ok(());
    }
    let name = directive.arg(1).to_owned();
    let group = directive.args().get(1).map_or_else(|| name.clone(), |word| word.text.clone());
    scope.world.main.user = Some(User { name, group, place: directive.place.clone() });
    Ok(())
}

fn worker_processes(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.world.main.worker_processes = match directive.arg(1) {
        "auto" => None,
        text => {
            let count = units::number(text).filter(|&count| count > 0 && count <= u64::from(u16::MAX));
            Some(count.ok_or_else(|| directive.invalid_value(1))? as usize)
        }
    };
    Ok(())
}

fn worker_connections(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let count = units::number(directive.arg(1)).and_then(|count| usize::try_from(count).ok());
    let message = || format!("invalid number \"{}\"", directive.arg(1));
    scope.world.main.worker_connections = count.filter(|&count| count > 0).ok_or_else(|| Fault::at(1, message()))?;
    Ok(())
}
