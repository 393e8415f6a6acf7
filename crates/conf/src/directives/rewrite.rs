//! `rewrite`, `return`, `set`, `break` and what concerns them all; `if` has a file of its own.

use crate::config::{AfterRewrite, Return, Rewrite, SetTarget, Step};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::rewrite::cut_replacement;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("break", REWRITE_BLOCKS, Arity::Exactly(0), |scope, directive| {
        scope.push_step(directive, Step::Break);
        Ok(())
    })
    .repeats()
    .doc(
        "Ends the directives of this module in the current block. A request whose URI was changed before stays in its \
         location.",
    ),
    Row::block("if", Contexts::SERVER.and(Contexts::LOCATION), Arity::AtLeast(1), Phase::Child, super::if_::if_)
        .repeats()
        .doc(
            "Runs the directives inside where the condition holds: `($variable)` is neither empty nor `0`; `=` and `!=` \
             compare texts; `~`, `~*`, `!~` and `!~*` match expressions, in any case with a star; `-f`, `-d`, `-e` and \
             `-x` ask for a file, a directory, either, or what may be executed, `!-f` and so on for its absence. In a \
             location it is a nameless location inside: it inherits, and what else stands in it holds for the request \
             from then on; of several that hold the last wins.",
        ),
    Row::new("return", REWRITE_BLOCKS, Arity::Between(1, 2), return_).repeats().doc(
        "Ends the request with this status: a text for the body, or for 301, 302, 303, 307 and 308 the address of a \
         redirect. An address alone is a 302. 444 closes the connection without an answer.",
    ),
    Row::new("rewrite", REWRITE_BLOCKS, Arity::Between(2, 3), rewrite).repeats().doc(
        "Where the expression matches the URI, replaces the URI: `last` chooses a location for the new one, `break` \
         stays in this one, without a flag the next directives see it, `redirect` and `permanent` answer 302 and 301, \
         as does a replacement that begins with `http://`, `https://` or `$scheme`. The request's arguments follow \
         those of the replacement, unless that ends in a question mark. A location may be chosen anew ten times.",
    ),
    Row::new("rewrite_log", SETTING_BLOCKS, Arity::Flag, |scope, directive| {
        scope.location.rewrite_log = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether the error log notes, at the level `notice`, what the expressions of `rewrite` and `if` did."),
    Row::new("set", REWRITE_BLOCKS, Arity::Exactly(2), set).repeats().doc(
        "Gives a variable a value. Of the built-in variables `$args` and `$limit_rate` can be set.",
    ),
    Row::new("uninitialized_variable_warn", SETTING_BLOCKS, Arity::Flag, |scope, directive| {
        scope.location.uninitialized_variable_warn = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether the error log notes the use of a variable that no `set` has given a value yet."),
];

const REWRITE_BLOCKS: Contexts =
    Contexts::SERVER.and(Contexts::LOCATION).and(Contexts::SERVER_IF).and(Contexts::LOCATION_IF);
const SETTING_BLOCKS: Contexts = Contexts::HTTP_TO_IF.and(Contexts::SERVER_IF);

/// How an address elsewhere begins.
const ADDRESS_HEADS: [&str; 3] = ["http://", "https://", "$scheme"];

fn is_address(text: &str) -> bool {
    ADDRESS_HEADS.iter().any(|head| text.starts_with(head))
}

fn return_(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let invalid = || Fault::at(1, format!("invalid return code \"{text}\""));
    let found = match units::number(text) {
        Some(status @ 0..=999) => {
            let text = if directive.args().len() == 2 { Some(scope.template(directive, 2)?) } else { None };
            Return { status: status as u16, text }
        }
        Some(_) => return Err(invalid()),
        None => {
            if directive.args().len() != 1 || !is_address(text) {
                return Err(invalid());
            }
            Return { status: 302, text: Some(scope.template(directive, 1)?) }
        }
    };
    scope.push_step(directive, Step::Return(found));
    Ok(())
}

fn set(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let target: SetTarget = scope.world.variables.set_target(directive, 1)?;
    let value = scope.template(directive, 2)?;
    scope.push_step(directive, Step::Set { target, value });
    Ok(())
}

fn rewrite(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(2);
    if text.is_empty() {
        return Err(Fault::at(2, "empty replacement"));
    }
    let (pattern, assigns) = scope.capturing(directive, 1, directive.arg(1), false)?;
    let then = after(directive, text)?;
    let is_redirect = matches!(then, AfterRewrite::Redirect(_));
    let cut = cut_replacement(text, is_redirect);
    let rewrite = Rewrite {
        pattern,
        assigns,
        path: scope.template_of(directive, 2, cut.path)?,
        args: cut.args.map(|args| scope.template_of(directive, 2, args)).transpose()?,
        redirect_has_args: is_redirect && cut.path.contains('?'),
        keeps_args: cut.keeps_args,
        then,
    };
    scope.push_step(directive, Step::Rewrite(Box::new(rewrite)));
    Ok(())
}

fn after(directive: &Directive, replacement: &str) -> Result<AfterRewrite, Fault> {
    let without_flag = if is_address(replacement) { AfterRewrite::Redirect(302) } else { AfterRewrite::Next };
    let Some(flag) = directive.args().get(2) else { return Ok(without_flag) };
    Ok(match (flag.text.as_str(), without_flag) {
        ("last" | "break", redirect @ AfterRewrite::Redirect(_)) => redirect,
        ("last", _) => AfterRewrite::Last,
        ("break", _) => AfterRewrite::Break,
        ("redirect", _) => AfterRewrite::Redirect(302),
        ("permanent", _) => AfterRewrite::Redirect(301),
        _ => return Err(directive.invalid_parameter(3)),
    })
}
