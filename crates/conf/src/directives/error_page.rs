//! `error_page`, `default_type`, `types`.

use crate::config::{ErrorPage, ErrorPageStatus};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;
use bytes::Bytes;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("default_type", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.default_type = Bytes::copy_from_slice(directive.arg(1).as_bytes());
        Ok(())
    })
    .default("text/plain")
    .doc(
        "The content type of what the gateway itself answers (`return`) where `types` knows none for the URI's \
         extension.",
    ),
    Row::new("error_page", Contexts::HTTP_TO_IF, Arity::AtLeast(2), error_page).repeats().doc(
        "What answers in place of the given statuses: a URI of this server, `@name`, or an address elsewhere (a \
         redirect). `=code` sets the status of the answer, `=` takes the one of the page. The first line of a block \
         replaces the inherited ones.",
    ),
    Row::new("recursive_error_pages", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.location.recursive_error_pages = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether an error while an error page is made may lead to another error page."),
    Row::block("types", Contexts::HTTP_TO_LOCATION, Arity::Exactly(0), Phase::Value, super::types::types).repeats().doc(
        "Content types by file name extension, for what the gateway itself answers: `text/css css;`. The first block \
         replaces what was inherited. By default `text/html html`, `image/gif gif`, `image/jpeg jpg`.",
    ),
];

fn error_page(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let count = directive.args().len();
    let mut is_first = scope.is_first(directive);
    let (answer, statuses) = match directive.arg(count - 1).strip_prefix('=') {
        Some(_) if count == 2 => return Err(directive.invalid_word(1)),
        // A status of zero is none either.
        Some(code) if code.bytes().all(|digit| digit == b'0') => (ErrorPageStatus::Take, count - 2),
        Some(code) => {
            let code = units::number(code).and_then(|code| u16::try_from(code).ok());
            (ErrorPageStatus::Set(code.ok_or_else(|| directive.invalid_word(count - 1))?), count - 2)
        }
        None => (ErrorPageStatus::Keep, count - 1),
    };
    let target = scope.template(directive, count)?;
    for number in 1..=statuses {
        let status = status(directive, number)?;
        let answer = match (answer, status) {
            // nginx's own statuses for a bad TLS request or a head that is too large are not for clients' eyes.
            (ErrorPageStatus::Keep, 494..=497) => ErrorPageStatus::Set(400),
            _ => answer,
        };
        push(&mut scope.location.error_pages, is_first, ErrorPage { status, answer, target: target.clone() });
        is_first = false;
    }
    Ok(())
}

fn status(directive: &Directive, number: usize) -> Result<u16, Fault> {
    let text = directive.arg(number);
    match units::number(text) {
        None | Some(499) => Err(directive.invalid_word(number)),
        Some(status @ 300..=599) => Ok(status as u16),
        Some(_) => Err(Fault::at(number, format!("value \"{text}\" must be between 300 and 599"))),
    }
}
