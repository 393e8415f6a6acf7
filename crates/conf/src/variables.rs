//! Names of variables: what is built in, what the configuration defines, and what nobody does.
//!
//! A name may be used before it is defined, as in nginx. Each name that is not built in gets a slot at its first use;
//! the slots that nothing ever defined are reported at the end.

use crate::config::{Level, Place, SetTarget, Slot, SlotKind};
use crate::diagnostic::{Diagnostic, Fault};
use crate::registry::{self, Meaning};
use crate::source::Span;
use crate::suggest::Suggestions;
use crate::syntax::{Directive, Word};
use crate::unsupported_variables;
use culvert_engine::pattern::Pattern;
use culvert_engine::template::{Template, TemplateError};
use culvert_engine::variable::{self, Builtin, Family, Variable};
use std::collections::{HashMap, HashSet};

/// The variables of one configuration while it is read.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// Whether some `$tcpinfo_…` is used.
    pub(crate) asks_tcp_info: bool,
    slots: Vec<Draft>,
    by_name: HashMap<String, usize>,
    /// Names that a `set` or `map` defines somewhere: they win over the members of a family (`$http_x`) of that name.
    defined: HashSet<String>,
    /// Names that a directive which is refused would define.
    refused: HashSet<String>,
}

#[derive(Debug)]
struct Draft {
    name: String,
    kind: Option<SlotKind>,
    first_use: Use,
}

#[derive(Debug, Clone)]
struct Use {
    place: Place,
    span: Span,
    order: usize,
}

/// Members of families that nginx defines one by one, so that a configuration can't redefine them.
const FIXED_MEMBERS: &[&str] =
    &["http_host", "http_user_agent", "http_referer", "http_via", "http_x_forwarded_for", "http_cookie"];

/// Built-in variables that nginx lets a configuration change.
fn changeable(builtin: Builtin) -> Option<SetTarget> {
    match builtin {
        Builtin::Args => Some(SetTarget::Args),
        Builtin::LimitRate => Some(SetTarget::LimitRate),
        _ => None,
    }
}

/// Built-in variables that nginx lets a configuration redefine. It does not know Culvert's own, nor stock nginx those of
/// the commercial edition, so a file written for it may use their names.
const REDEFINABLE: &[Builtin] = &[
    Builtin::ProxyHost,
    Builtin::ProxyPort,
    Builtin::CulvertVersion,
    Builtin::IsRequestPort,
    Builtin::RequestPort,
    Builtin::UpstreamLastAddr,
    Builtin::UpstreamLastServerName,
    Builtin::UpstreamQueueTime,
    Builtin::WebsocketBytesReceived,
    Builtin::WebsocketBytesSent,
    Builtin::WebsocketCloseCause,
    Builtin::WebsocketCloseCode,
    Builtin::WebsocketCloseReason,
    Builtin::WebsocketClosedBy,
    Builtin::WebsocketExtensions,
    Builtin::WebsocketMessagesReceived,
    Builtin::WebsocketMessagesSent,
    Builtin::WebsocketPingRtt,
    Builtin::WebsocketProtocol,
    Builtin::WebsocketViolations,
];

impl Variables {
    /// Notes the names that directives anywhere in the tree define, before any of them is used. Directives that are
    /// refused count too (`auth_request_set $user …`): what they would define is not reported as unknown on top.
    pub(crate) fn note_definitions(&mut self, items: &[Directive]) {
        for directive in items {
            let works = matches!(registry::meaning(directive.name()), Some(Meaning::Works(_)));
            match directive.name() {
                "set" => self.note(directive.words.get(1)),
                "map" | "split_clients" => self.note(directive.words.get(2)),
                "auth_request_set" => self.note(directive.words.get(1)),
                "geo" => self.note(directive.words.last()),
                _ if works => {}
                _ => directive.args().iter().for_each(|word| self.note_refused(&word.text)),
            }
            // The lines of a map, a table of types or a match block are no directives.
            if !matches!(directive.name(), "map" | "geo" | "split_clients" | "types" | "match") {
                self.note_definitions(directive.items());
            }
        }
    }

    fn note(&mut self, word: Option<&Word>) {
        if let Some(name) = word.and_then(|word| word.text.strip_prefix('$')) {
            self.defined.insert(name.to_ascii_lowercase());
        }
    }

    fn note_refused(&mut self, text: &str) {
        let named_groups = text.split("(?<").skip(1).chain(text.split("(?P<").skip(1));
        let groups = named_groups.filter_map(|rest| rest.split_once('>').map(|(name, _)| name));
        self.refused.extend(groups.chain(text.strip_prefix('$')).map(str::to_ascii_lowercase));
    }

    /// Takes the text of an argument apart.
    pub(crate) fn template(&mut self, directive: &Directive, number: usize, text: &str) -> Result<Template, Fault> {
        Template::parse(text, |name| self.resolve(directive, number, name)).map_err(|error| match error {
            TemplateError::InvalidName => Fault::at(number, "invalid variable name"),
            TemplateError::MissingBrace(name) => {
                Fault::at(number, format!("the closing bracket in \"{name}\" variable is missing"))
            }
        })
    }

    /// The variable of this name, without its dollar sign.
    pub(crate) fn resolve(&mut self, directive: &Directive, number: usize, name: &str) -> Variable {
        let lower = name.to_ascii_lowercase();
        let is_redefined = self.defined.contains(&lower) || self.by_name.contains_key(&lower);
        self.asks_tcp_info |= lower.starts_with("tcpinfo_");
        match variable::builtin(&lower) {
            Some(found) if !(is_redefined && is_definable(&found, &lower)) => found,
            _ => Variable::Slot(self.slot(directive, number, lower)),
        }
    }

    fn slot(&mut self, directive: &Directive, number: usize, name: String) -> usize {
        if let Some(&slot) = self.by_name.get(&name) {
            return slot;
        }
        let first_use =
            Use { place: directive.place.clone(), span: directive.words[number].span, order: directive.order };
        self.slots.push(Draft { name: name.clone(), kind: None, first_use });
        self.by_name.insert(name, self.slots.len() - 1);
        self.slots.len() - 1
    }

    /// Defines a variable from an argument such as `$name`.
    pub(crate) fn define(&mut self, directive: &Directive, number: usize, kind: SlotKind) -> Result<usize, Fault> {
        let text = directive.arg(number);
        let name = text.strip_prefix('$').filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Fault::at(number, format!("invalid variable name \"{text}\"")))?;
        self.define_name(directive, number, name, kind)
    }

    /// What a `set` of an argument such as `$name` changes.
    pub(crate) fn set_target(&mut self, directive: &Directive, number: usize) -> Result<SetTarget, Fault> {
        let name = directive.arg(number).strip_prefix('$').unwrap_or_default();
        let target = match variable::builtin(name) {
            Some(Variable::Builtin(builtin)) => changeable(builtin),
            _ => None,
        };
        match target {
            Some(target) => Ok(target),
            None => self.define(directive, number, SlotKind::Assigned).map(SetTarget::Slot),
        }
    }

    fn define_name(
        &mut self,
        directive: &Directive,
        number: usize,
        name: &str,
        kind: SlotKind,
    ) -> Result<usize, Fault> {
        let name = name.to_ascii_lowercase();
        if let Some(found) = variable::builtin(&name) {
            if matches!(&found, Variable::Builtin(builtin) if changeable(*builtin).is_some()) {
                let message = format!("defining the variable \"${name}\" anew is not supported by Culvert");
                return Err(Fault::at(number, message));
            }
            if !is_definable(&found, &name) {
                return Err(Fault::at(number, format!("the duplicate \"{name}\" variable")));
            }
        }
        let slot = self.slot(directive, number, name);
        let known = &mut self.slots[slot].kind;
        let yields = match kind {
            SlotKind::Assigned | SlotKind::Absent => known.is_some(),
            SlotKind::Captured => !matches!(known, None | Some(SlotKind::Assigned | SlotKind::Absent)),
            SlotKind::Map(_) | SlotKind::Geo(_) | SlotKind::Split(_) => false,
        };
        if !yields {
            *known = Some(kind);
        }
        Ok(slot)
    }

    /// Gives each named group of a pattern its slot: pairs of group and slot.
    pub(crate) fn assigns(
        &mut self,
        directive: &Directive,
        number: usize,
        pattern: &Pattern,
    ) -> Result<Vec<(usize, usize)>, Fault> {
        pattern
            .names()
            .into_iter()
            .map(|(group, name)| Ok((group, self.define_name(directive, number, &name, SlotKind::Captured)?)))
            .collect()
    }

    /// The slots, and a diagnostic for each that nothing defines.
    pub(crate) fn finish(self, suggestions: &mut Suggestions) -> (Vec<Slot>, Vec<Diagnostic>) {
        let mut slots = Vec::new();
        let mut unknown = Vec::new();
        let defined: Vec<&str> =
            self.slots.iter().filter(|draft| draft.kind.is_some()).map(|draft| draft.name.as_str()).collect();
        for draft in &self.slots {
            let is_noted = self.defined.contains(&draft.name) || self.refused.contains(&draft.name);
            if draft.kind.is_none() && !is_noted {
                unknown.push(unknown_variable(draft, &defined, suggestions));
            }
            slots.push(Slot { name: draft.name.clone(), kind: draft.kind.unwrap_or(SlotKind::Assigned) });
        }
        (slots, unknown)
    }
}

/// Whether a configuration may define a variable although the name is built in.
fn is_definable(found: &Variable, name: &str) -> bool {
    match found {
        Variable::Builtin(builtin) => REDEFINABLE.contains(builtin),
        Variable::Member(Family::Http, _) => !FIXED_MEMBERS.contains(&name),
        _ => true,
    }
}

fn unknown_variable(draft: &Draft, defined: &[&str], suggestions: &mut Suggestions) -> Diagnostic {
    let name = draft.name.as_str();
    let candidates = variable::TABLE.iter().map(|row| row.name).chain(defined.iter().copied());
    let suggestion = match unsupported_variables::reason(name) {
        Some(why) => Some(format!("nginx has this variable, Culvert does not: {why}")),
        None => suggestions.nearest(name, candidates).map(|near| format!("did you mean \"${near}\"?")),
    };
    let Use { place, span, order } = draft.first_use.clone();
    Diagnostic {
        level: Level::Emerg,
        message: format!("unknown \"{name}\" variable"),
        place: Some(place),
        span: Some(span),
        suggestion,
        order,
    }
}
