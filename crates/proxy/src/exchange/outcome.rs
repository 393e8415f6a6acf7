//! How an exchange ends: one line in each access log, written when it is over, however it was over.

use super::Exchange;
use crate::observe::access_log::{self, Late, Line, LineBuilder, Record};
use crate::observe::log_file::{self, LogFile};
use crate::observe::{metrics, path_logs};
use culvert_conf::config::{AccessLog, AccessTarget, Escape};
use culvert_engine::template::Part;
use culvert_engine::variable::{Builtin, Variable};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.outcome_told || (self.is_subrequest && !self.location.log_subrequest) {
            return;
        }
        if self.sent.status == 0 {
            // Nothing was answered: the client went away, or was turned away without a word.
            self.sent.status = self.forced_status.unwrap_or(499);
        }
        if !self.is_subrequest {
            metrics::exchange_ended(self.sent.status, self.request.received, self.sent.bytes);
        }
        for log in self.location.access_logs.iter().filter(|log| self.is_wanted(log)) {
            if let Some(file) = self.log_of(log) {
                log_file::append(&file, |out| self.write_line(log, out));
            }
        }
    }
}

impl Exchange {
    /// Hands the rest of the story to a tunnel: what its log lines need and can be known now is rendered, the rest is left
    /// open. The exchange itself stays silent from then on.
    pub(super) fn hand_over(&mut self) -> Record {
        self.outcome_told = true;
        metrics::tunnel_opened(self.request.received);
        let location = self.location.clone();
        let began = self.request.began;
        let tried = self.tries.last().map_or(began, |attempt| attempt.began);
        let wanted = location.access_logs.iter().filter(|log| self.is_wanted(log));
        let lines = wanted.filter_map(|log| Some(self.open_line(log, self.log_of(log)?)));
        Record {
            lines: lines.collect(),
            error_sink: self.generation.error_sink(&location.error_logs),
            circumstances: self.circumstances().text().into(),
            connection: self.client.serial,
            began: began.into(),
            _seats: std::mem::take(&mut self.ledger.seats),
            open_before: milliseconds(began.saturating_duration_since(self.client.opened)),
            tried_after: milliseconds(tried.saturating_duration_since(began)),
            head_bytes: u32::try_from(self.sent.head_bytes).unwrap_or(u32::MAX),
        }
    }

    /// Where the lines of `log` go; `None` for a path that no file can have.
    fn log_of(&self, log: &AccessLog) -> Option<Arc<LogFile>> {
        match &log.target {
            AccessTarget::Fixed(target) => self.generation.logs.of(target).cloned(),
            AccessTarget::Computed(path) => {
                let path = self.render(path);
                let is_good = !path.contains(&0);
                is_good
                    .then(|| path_logs::at(Path::new(OsStr::from_bytes(&path)), self.location.log_file_cache.as_ref()))
            }
        }
    }

    fn is_wanted(&self, log: &AccessLog) -> bool {
        log.condition.as_ref().is_none_or(|condition| {
            let value = self.render(condition);
            !value.is_empty() && value != b"0"
        })
    }

    fn write_line(&self, log: &AccessLog, out: &mut Vec<u8>) {
        for part in log.format.line.parts() {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value(variable) => self.write_value(variable, log.format.escape, out),
            }
        }
        out.push(b'\n');
    }

    fn write_value(&self, variable: &Variable, escape: Escape, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        let found = self.append(variable, None, &mut value);
        access_log::write_escaped(found.then_some(&value[..]), escape, out);
    }

    fn open_line(&self, log: &AccessLog, file: Arc<LogFile>) -> Line {
        let mut line = LineBuilder::default();
        for part in log.format.line.parts() {
            match part {
                Part::Text(text) => line.push_text(text),
                Part::Value(Variable::Builtin(builtin)) if Late::of(*builtin).is_some() => {
                    self.push_late(*builtin, &mut line)
                }
                Part::Value(variable) => {
                    let mut value = Vec::new();
                    self.write_value(variable, log.format.escape, &mut value);
                    line.push_text(&value);
                }
            }
        }
        line.push_text(b"\n");
        line.build(file, log.format.escape)
    }

    /// A value that only the tunnel's end knows. For one per try, those of earlier tries are known already.
    fn push_late(&self, builtin: Builtin, line: &mut LineBuilder) {
        let late = Late::of(builtin).expect("the caller asked");
        if late.is_per_try() {
            let mut before = Vec::new();
            self.append(&Variable::Builtin(builtin), None, &mut before);
            let last = before.iter().rposition(|&b| b == b' ').map_or(0, |at| at + 1);
            line.push_text(&before[..last]);
        }
        line.push_late(late);
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
