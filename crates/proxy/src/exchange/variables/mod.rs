//! The value of every variable, computed when it is asked for.

mod builtin;
mod member;
mod slot;
mod table;
mod tries;
mod write;

use self::write::put;
use super::Exchange;
use super::client::OutHead;
use culvert_engine::template::Template;
use culvert_engine::variable::Variable;

impl Exchange {
    /// The text of `template` for this exchange.
    pub(crate) fn render(&self, template: &Template) -> Vec<u8> {
        match template.as_literal() {
            Some(text) => text.to_vec(),
            None => {
                let mut out = Vec::new();
                template.render(&mut out, |variable, out| {
                    self.append(variable, None, out);
                });
                out
            }
        }
    }

    /// The same while `head` is about to be sent, so that `$sent_http_*` can look at it.
    pub(super) fn render_with_head(&self, template: &Template, head: &OutHead) -> Vec<u8> {
        let mut out = Vec::new();
        template.render(&mut out, |variable, out| {
            self.append(variable, Some(head), out);
        });
        out
    }

    /// Appends the value of `variable`. False where it has none, which logs print as `-`.
    pub(crate) fn append(&self, variable: &Variable, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
        match variable {
            Variable::Builtin(builtin) => self.append_builtin(*builtin, head, out),
            Variable::Member(family, name) => self.append_member(*family, name, head, out),
            Variable::Capture(group) => put(out, self.captures.borrow().get(usize::from(*group))),
            Variable::Slot(slot) => self.append_slot(*slot, out),
        }
    }
}
