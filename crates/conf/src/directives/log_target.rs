//! Where logs go: files, standard error, syslog servers.

use super::log::LEVELS;
use crate::address::{self, Host, Purpose};
use crate::config::{AccessTarget, Level, LogTarget, Syslog, SyslogServer};
use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
use std::sync::Arc;

/// The target of an `access_log`.
pub(super) fn access(scope: &mut Scope<'_>, directive: &Directive) -> Result<AccessTarget, Fault> {
    let path = directive.arg(1);
    if let Some(parameters) = path.strip_prefix("syslog:") {
        return Ok(AccessTarget::Fixed(LogTarget::Syslog(Arc::new(syslog(directive, parameters)?))));
    }
    let full = scope.path(path);
    match path.contains('$') {
        true => Ok(AccessTarget::Computed(scope.template_of(directive, 1, &full.to_string_lossy())?)),
        false => Ok(AccessTarget::Fixed(LogTarget::File(full))),
    }
}

/// The target of an `error_log`.
pub(super) fn error(scope: &Scope<'_>, directive: &Directive) -> Result<LogTarget, Fault> {
    let path = directive.arg(1);
    if path.starts_with("memory:") {
        let message =
            "memory in the \"error_log\" directive is not supported by Culvert: only a debugger could read it";
        return Err(Fault::at(1, message));
    }
    Ok(match (path, path.strip_prefix("syslog:")) {
        ("stderr", _) => LogTarget::Stderr,
        (_, Some(parameters)) => LogTarget::Syslog(Arc::new(syslog(directive, parameters)?)),
        (path, None) => LogTarget::File(scope.path(path)),
    })
}

/// By number, as RFC 3164 section 4.1.1 has them; some numbers have no name.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const LOCAL7: u8 = 23;

const TAG_BYTES_MAX: usize = 32;
const PORT: u16 = 514;

fn syslog(directive: &Directive, parameters: &str) -> Result<Syslog, Fault> {
    let (mut server, mut facility, mut severity, mut tag, mut nohostname) = (None, None, None, None, false);
    for parameter in parameters.split(',') {
        match parameter.split_once('=') {
            Some(("server", text)) => set(&mut server, "server", syslog_server(text)?)?,
            Some(("facility", text)) => {
                let number = FACILITIES.iter().position(|name| *name == text);
                let number = number.ok_or_else(|| Fault::at(1, format!("unknown syslog facility \"{text}\"")))?;
                set(&mut facility, "facility", number as u8)?;
            }
            Some(("severity", text)) => {
                let found = LEVELS.into_iter().find(|level| level.name() == text);
                let level = found.ok_or_else(|| Fault::at(1, format!("unknown syslog severity \"{text}\"")))?;
                set(&mut severity, "severity", level)?;
            }
            Some(("tag", text)) => set(&mut tag, "tag", syslog_tag(text)?)?,
            None if parameter == "nohostname" => nohostname = true,
            _ => return Err(Fault::at(1, format!("unknown syslog parameter \"{parameter}\""))),
        }
    }
    Ok(Syslog {
        server: server.ok_or_else(|| Fault::at(1, "no syslog server specified"))?,
        facility: facility.unwrap_or(LOCAL7),
        severity: severity.unwrap_or(Level::Info),
        tag: tag.unwrap_or_else(|| "nginx".into()),
        nohostname,
        place: directive.place.clone(),
    })
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::at(1, format!("duplicate syslog \"{name}\""))),
    }
}

fn syslog_server(text: &str) -> Result<SyslogServer, Fault> {
    let fault = |why: &str| Fault::at(1, format!("{why} in syslog server \"{text}\""));
    let address = address::parse(text, Purpose::Peer).map_err(fault)?;
    let port = address.port.unwrap_or(PORT);
    match address.host {
        Host::Name(host) if !host.is_empty() => Ok(SyslogServer::Inet(host, port)),
        Host::V6(ip) => Ok(SyslogServer::Inet(ip.to_string(), port)),
        Host::Unix(path) => Ok(SyslogServer::Unix(path)),
        Host::Name(_) | Host::Wildcard => Err(fault("no host")),
    }
}

fn syslog_tag(text: &str) -> Result<Box<str>, Fault> {
    if text.len() >= TAG_BYTES_MAX {
        return Err(Fault::at(1, format!("syslog tag length exceeds {TAG_BYTES_MAX}")));
    }
    match text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => Ok(text.into()),
        false => Err(Fault::at(1, "syslog \"tag\" only allows alphanumeric characters and underscore")),
    }
}
