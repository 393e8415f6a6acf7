//! The rewrite phase: `set` and `return`, in the order of the file.

use super::respond::Reply;
use super::{Exchange, Next};
use culvert_conf::config::{Return, Step};

/// Runs `steps`. `None` where the request goes on to its location or handler.
pub(super) fn run(exchange: &mut Exchange, steps: &[Step]) -> Option<Next> {
    for step in steps {
        match step {
            Step::Set { slot, value } => {
                let value = exchange.render(value);
                exchange.slots.get_mut()[*slot] = Some(value.into());
            }
            Step::Return(answer) => return Some(answer_with(exchange, answer)),
        }
    }
    None
}

fn answer_with(exchange: &mut Exchange, answer: &Return) -> Next {
    // The text may ask for the status that it is sent with.
    exchange.forced_status.get_or_insert(answer.status);
    let text = answer.text.as_ref().map(|text| exchange.render(text));
    match (answer.status, text) {
        (408 | 444 | 499, _) => Next::Status(answer.status),
        (status @ (301 | 302 | 303 | 307 | 308), Some(location)) => exchange.redirect(status, location),
        (status @ 400.., None) => Next::Status(status),
        (status @ 400.., Some(text)) if text.is_empty() => Next::Status(status),
        (status, text) => {
            let content_type = exchange.content_type();
            Next::Reply(Reply::text(status, content_type, text.unwrap_or_default().into()))
        }
    }
}
