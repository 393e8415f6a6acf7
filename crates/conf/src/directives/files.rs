//! Files: where they are, which one stands for a folder, and how they are asked for.

use crate::config::{Handler, LocationKind, Root, RootKind, Symlinks};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use culvert_engine::content::IfModifiedSince;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("alias", Contexts::LOCATION, Arity::Exactly(1), alias).doc(
        "The folder or file that stands for the location's name: in `location /i/ { alias /img/; }` `/i/a.gif` is \
         `/img/a.gif`. In a location with an expression it is the whole path.",
    ),
    Row::new("disable_symlinks", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), disable_symlinks).default("off").doc(
        "Whether symbolic links lead to files: `off` they do, `on` a path with one is forbidden, `if_not_owner` one \
         may lead to what has the same owner. `from=` gives the beginning of paths that is not looked at.",
    ),
    Row::new("empty_gif", Contexts::LOCATION, Arity::Exactly(0), |scope, _| {
        scope.location.handler = Handler::EmptyGif;
        Ok(())
    })
    .doc("Answers with a transparent picture of one pixel."),
    Row::new("etag", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.files().etag = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether files are sent with an `ETag`, made of time and length."),
    Row::new("if_modified_since", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.files().if_modified_since = match directive.arg(1) {
            "off" => IfModifiedSince::Off,
            "exact" => IfModifiedSince::Exact,
            "before" => IfModifiedSince::Before,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("exact")
    .doc(
        "When `If-Modified-Since` is answered with 304: `exact` if the times are equal, `before` if the file is not \
         newer, `off` never.",
    ),
    Row::new("index", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), index).repeats().default("index.html").doc(
        "The files that stand for a folder, in the order in which they are tried; the last may be a URI. The first \
         line of a block replaces the inherited ones.",
    ),
    Row::new("max_ranges", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.files().ranges_max = usize::try_from(directive.number(1)?).unwrap_or(usize::MAX);
        Ok(())
    })
    .doc("How many ranges of a file a request may ask for; one that asks for more gets all of it. 0 turns them off."),
    Row::new("random_index", Contexts::LOCATION, Arity::Flag, |scope, directive| {
        scope.files().random_index = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether any file of a folder stands for it, chosen anew for each request."),
    Row::new("root", Contexts::HTTP_TO_IF, Arity::Exactly(1), root)
        .default("html")
        .doc("The folder in which a location's files are: the URI stands behind it."),
];

fn root(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    set_root(scope, directive, "alias", RootKind::Root)
}

fn alias(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let kind = match scope.location.kind {
        LocationKind::Named => {
            return Err(Fault::new("the \"alias\" directive cannot be used inside the named location"));
        }
        LocationKind::Regex(_) => RootKind::AliasWhole,
        _ => RootKind::Alias(scope.location.name.len()),
    };
    set_root(scope, directive, "root", kind)
}

fn set_root(scope: &mut Scope<'_>, directive: &Directive, other: &str, kind: RootKind) -> Result<(), Fault> {
    let name = directive.name();
    if scope.has(other) {
        let message = format!("\"{name}\" directive is duplicate, \"{other}\" directive was specified earlier");
        return Err(Fault::new(message));
    }
    let text = directive.arg(1);
    for variable in ["document_root", "realpath_root"] {
        if text.contains(&format!("${variable}")) || text.contains(&format!("${{{variable}}}")) {
            let message = format!("the ${variable} variable cannot be used in the \"{name}\" directive");
            return Err(Fault::at(1, message));
        }
    }
    let full = match text {
        "/" if kind == RootKind::Root => String::new(),
        text if text.starts_with('$') => text.to_owned(),
        text => scope.path(text).to_string_lossy().into_owned(),
    };
    let full = if kind == RootKind::Root && text.ends_with('/') { full.trim_end_matches('/') } else { &full };
    let path = scope.template_of(directive, 1, full)?;
    scope.files().root = Root { path, kind };
    Ok(())
}

fn index(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut is_first = scope.is_first(directive);
    let count = directive.args().len();
    for number in 1..=count {
        let text = directive.arg(number);
        if text.is_empty() {
            let message = format!("index \"{}\" in \"index\" directive is invalid", directive.arg(1));
            return Err(Fault::at(number, message));
        }
        if text.starts_with('/') && number != count {
            let message = "only the last index in \"index\" directive should be absolute";
            scope.warn(directive, Fault::at(number, message));
        }
        let file = scope.template(directive, number)?;
        push(&mut scope.files().index, is_first, file);
        is_first = false;
    }
    Ok(())
}

fn disable_symlinks(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let (mut mode, mut from) = (None, None);
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        match (text, text.strip_prefix("from=")) {
            ("off" | "on" | "if_not_owner", _) if mode.is_none() => mode = Some(text),
            (_, Some("")) => return Err(Fault::at(number, format!("no path in \"{text}\" parameter"))),
            (_, Some(path)) if from.is_none() => from = Some(scope.template_of(directive, number, path)?),
            ("off" | "on" | "if_not_owner", _) | (_, Some(_)) => {
                let message = format!("duplicate parameters \"{} {text}\"", directive.arg(1));
                return Err(Fault::at(number, message));
            }
            _ => return Err(directive.invalid_parameter(number)),
        }
    }
    scope.files().symlinks = match (mode, from) {
        (None, _) => {
            let message = "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter";
            return Err(Fault::new(message));
        }
        (Some("on"), from) => Symlinks::Refused(from),
        (Some("if_not_owner"), from) => Symlinks::OfSameOwner(from),
        (Some(_), None) => Symlinks::Followed,
        (Some(_), Some(_)) => return Err(Fault::new("\"from=\" cannot be used with \"off\" parameter")),
    };
    Ok(())
}
