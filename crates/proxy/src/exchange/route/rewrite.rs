//! The rewrite phase: `set`, `if`, `rewrite`, `return` and `break`, in the order of the file.

use super::file_test;
use crate::exchange::content::Reply;
use crate::exchange::{Exchange, Next};
use culvert_conf::config::{AfterRewrite, Condition, Handler, If, Level, Return, Rewrite, SetTarget, Step};
use culvert_engine::pattern::{Captures, Pattern, TooSlow};
use culvert_engine::rewrite::{join_args, render_escaped, unescape_redirect};
use culvert_engine::template::Template;
use culvert_engine::variable::Variable;
use std::ops::ControlFlow::{self, Break, Continue};

/// Runs `steps`. `None` where the request goes on to its location or handler.
pub(in crate::exchange) fn run(exchange: &mut Exchange, steps: &[Step]) -> Option<Next> {
    let log = exchange.location.rewrite_log;
    match (Run { exchange, log, escapes: true }).steps(steps) {
        Continue(()) => None,
        Break(next) => next,
    }
}

/// What a step leads to: the one behind it, or the end of the phase, perhaps with something other than its usual end.
type Flow = ControlFlow<Option<Next>>;

struct Run<'e> {
    exchange: &'e mut Exchange,
    /// `rewrite_log`.
    log: bool,
    /// Whether groups in values are encoded. nginx does that until the first `rewrite` has matched.
    escapes: bool,
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step]) -> Flow {
        steps.iter().try_for_each(|step| match step {
            Step::Set { target, value } => self.set(*target, value),
            Step::Return(answer) => Break(Some(answer_with(self.exchange, answer))),
            Step::Break => self.stay(),
            Step::If(step) => self.branch(step),
            Step::Rewrite(rewrite) => self.rewrite(rewrite),
        })
    }

    fn set(&mut self, target: SetTarget, value: &Template) -> Flow {
        let value = self.render(value, self.escapes);
        match target {
            SetTarget::Slot(slot) => self.exchange.keep_slot(slot, value.into()),
            SetTarget::Args => {
                self.exchange.request.args = value.into();
                self.exchange.request.has_args = true;
                self.exchange.request.unparsed_is_valid = false;
            }
            SetTarget::LimitRate => self.exchange.set_limit_rate(&value),
        }
        Continue(())
    }

    /// `break`: the location stays what it is, even if the URI is not what led to it any more.
    fn stay(&mut self) -> Flow {
        if std::mem::take(&mut self.exchange.uri_changed) {
            self.exchange.request.location_is_valid = false;
        }
        Break(None)
    }

    fn branch(&mut self, step: &If) -> Flow {
        if !self.holds(&step.condition)? {
            return Continue(());
        }
        if let Some(location) = &step.location {
            let had_upstream = matches!(self.exchange.location.handler, Handler::Proxy(_));
            let lost = had_upstream || self.exchange.upstream_is_lost;
            self.exchange.upstream_is_lost = lost && matches!(location.handler, Handler::None);
            self.exchange.location = location.clone();
        }
        self.steps(&step.steps)
    }

    fn holds(&mut self, condition: &Condition) -> ControlFlow<Option<Next>, bool> {
        match condition {
            Condition::True(variable) => {
                let value = self.value(variable);
                Continue(!value.is_empty() && value != b"0")
            }
            Condition::Equals { variable, value, negated } => {
                let left = self.value(variable);
                Continue((left == self.render(value, self.escapes)) != *negated)
            }
            Condition::Matches { variable, pattern, assigns, negated } => {
                let value = self.value(variable);
                let matches = self.matches(pattern, assigns, &value)?;
                Continue(matches != *negated)
            }
            Condition::File { test, path, negated } => {
                let path = self.render(path, self.escapes);
                Continue(file_test::holds(self.exchange, *test, &path) != *negated)
            }
        }
    }

    fn value(&self, variable: &Variable) -> Vec<u8> {
        let mut value = Vec::new();
        self.exchange.append(variable, None, &mut value);
        value
    }

    /// Whether `pattern` matches `text`. If not, there are no groups any more.
    fn matches(
        &mut self,
        pattern: &Pattern,
        assigns: &[(usize, usize)],
        text: &[u8],
    ) -> ControlFlow<Option<Next>, bool> {
        match pattern.captures(text) {
            Ok(Some(captures)) => {
                self.note(|| format!("\"{}\" matches \"{}\"", pattern.source(), String::from_utf8_lossy(text)));
                *self.exchange.captures.get_mut() = captures;
                self.exchange.assign(assigns);
                Continue(true)
            }
            Ok(None) => {
                self.note(|| format!("\"{}\" does not match \"{}\"", pattern.source(), String::from_utf8_lossy(text)));
                *self.exchange.captures.get_mut() = Captures::default();
                Continue(false)
            }
            Err(TooSlow) => {
                let (pattern, text) = (pattern.source(), String::from_utf8_lossy(text));
                self.exchange.log(
                    Level::Alert,
                    format_args!("pcre2_match() failed: {MATCH_LIMIT} on \"{text}\" using \"{pattern}\""),
                );
                Break(Some(Next::Status(500)))
            }
        }
    }

    fn rewrite(&mut self, rewrite: &Rewrite) -> Flow {
        let uri = self.exchange.request.uri.clone();
        if !self.matches(&rewrite.pattern, &rewrite.assigns, &uri)? {
            return Continue(());
        }
        let request = &mut self.exchange.request;
        request.internal = true;
        request.unparsed_is_valid = false;
        match rewrite.then {
            AfterRewrite::Redirect(status) => {
                let address = self.redirect_address(rewrite);
                self.note(|| format!("rewritten redirect: \"{}\"", String::from_utf8_lossy(&address)));
                return Break(Some(self.exchange.redirect(status, address)));
            }
            AfterRewrite::Break => {
                request.location_is_valid = false;
                self.exchange.uri_changed = false;
            }
            AfterRewrite::Next | AfterRewrite::Last => self.exchange.uri_changed = true,
        }
        self.replace_uri(rewrite)?;
        self.escapes = false;
        match rewrite.then {
            AfterRewrite::Next => Continue(()),
            _ => Break(None),
        }
    }

    fn redirect_address(&self, rewrite: &Rewrite) -> Vec<u8> {
        let mut address = unescape_redirect(&self.render(&rewrite.path, true));
        if rewrite.keeps_args && !self.exchange.request.args.is_empty() {
            address.push(if rewrite.redirect_has_args { b'&' } else { b'?' });
            address.extend_from_slice(&self.exchange.request.args);
        }
        address
    }

    fn replace_uri(&mut self, rewrite: &Rewrite) -> Flow {
        let path = self.render(&rewrite.path, false);
        let mut args = rewrite.args.as_ref().map(|args| self.render(args, true)).unwrap_or_default();
        if rewrite.keeps_args {
            join_args(&mut args, rewrite.args.is_some(), b'&', &self.exchange.request.args);
        }
        self.note(|| {
            let (path, args) = (String::from_utf8_lossy(&path), String::from_utf8_lossy(&args));
            format!("rewritten data: \"{path}\", args: \"{args}\"")
        });
        let is_empty = path.is_empty();
        self.exchange.request.uri = path.into();
        self.exchange.request.args = args.into();
        self.exchange.request.has_args |= rewrite.args.is_some();
        if is_empty {
            self.exchange.log(Level::Error, "the rewritten URI has a zero length");
            return Break(Some(Next::Status(500)));
        }
        Continue(())
    }

    /// Renders a value. With `escapes` its groups are encoded, if the request's URI had anything encoded in it.
    fn render(&self, template: &Template, escapes: bool) -> Vec<u8> {
        let exchange = &*self.exchange;
        if !(escapes && (exchange.request.quoted || exchange.request.plus_in_uri)) {
            return exchange.render(template);
        }
        let mut out = Vec::new();
        let captures = exchange.captures.borrow().clone();
        render_escaped(template, &captures, &mut out, |variable, out| {
            exchange.append(variable, None, out);
        });
        out
    }

    fn note(&self, line: impl FnOnce() -> String) {
        if self.log {
            self.exchange.log(Level::Notice, line());
        }
    }
}

/// PCRE2's number for a match that reached its limit, as nginx logs it.
const MATCH_LIMIT: i32 = -47;

fn answer_with(exchange: &mut Exchange, answer: &Return) -> Next {
    // The text may ask for the status that it is sent with.
    exchange.forced_status.get_or_insert(answer.status);
    let text = answer.text.as_ref().map(|text| exchange.render(text));
    match (answer.status, text) {
        (408 | 444 | 499, _) => Next::Status(answer.status),
        (status @ (301 | 302 | 303 | 307 | 308), location) => exchange.redirect(status, location.unwrap_or_default()),
        (status @ 400.., None) => Next::Status(status),
        (status @ 400.., Some(text)) if text.is_empty() => Next::Status(status),
        (status, text) => {
            let content_type = exchange.content_type();
            Next::Reply(Box::new(Reply::text(status, content_type, text.unwrap_or_default().into())))
        }
    }
}
