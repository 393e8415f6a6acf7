//! `location`.

use crate::config::{Handler, Location, LocationKind};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::route::LocationTree;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("internal", Contexts::LOCATION, Arity::Exactly(0), |scope, _| {
        scope.location.internal = true;
        Ok(())
    })
    .doc(
        "Only requests that the gateway itself sent here are served (by `rewrite`, `error_page`, `try_files` and their \
         like); others are answered with 404.",
    ),
    Row::block("location", Contexts::SERVER.and(Contexts::LOCATION), Arity::Between(1, 2), Phase::Child, location)
.repeats()
.doc(
    "What holds for requests whose path fits: `location /prefix`, `= /exact`, `^~ /prefix` (expressions are not tried \
     after it), `~ expression`, `~* expression` in any case, `@name` for internal use. An exact one wins, else the \
     longest prefix is remembered, and the first expression that matches goes before it. Locations may be nested.",
),
];

/// The head of a location: what its arguments say.
struct Head<'d> {
    modifier: Modifier,
    name: &'d str,
    /// Which argument the name is.
    number: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Modifier {
    Prefix,
    PrefixStopsRegex,
    Exact,
    Regex,
    RegexCaseless,
    Named,
}

fn location(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let head = head(directive)?;
    if scope.context == Contexts::LOCATION {
        check_nesting(scope, &head)?;
    }
    let id = scope.locations.len();
    scope.locations.push(None);
    let kind = kind(scope, directive, &head);
    // The inside is read even where the head is bad, so that its mistakes are reported too.
    let (location, tree) = inside(scope, directive, &head, kind.as_ref().ok());
    let wants_slash = matches!(location.handler, Handler::Proxy(_)) && head.name.ends_with('/');
    scope.locations[id] = Some(Arc::new(location));
    kind?;
    place(scope, directive, &head, id)?;
    if wants_slash {
        scope.tree.auto_redirect(head.name, id);
    }
    scope.tree.nest(id, tree);
    Ok(())
}

/// A location's kind, and the slots of a pattern's named groups.
type Kind = (LocationKind, Vec<(usize, usize)>);

fn inside(
    scope: &mut Scope<'_>,
    directive: &Directive,
    head: &Head<'_>,
    kind: Option<&Kind>,
) -> (Location, LocationTree) {
    let locations = std::mem::take(&mut scope.locations);
    let mut child = scope.child(Contexts::LOCATION);
    child.locations = locations;
    child.location.name = head.name.to_owned();
    child.location.place = directive.place.clone();
    if let Some((kind, assigns)) = kind.cloned() {
        child.location.kind = kind;
        child.location.assigns = assigns;
    }
    child.walk(directive.items());
    let (location, tree, locations) = (child.location, child.tree, child.locations);
    scope.locations = locations;
    (location, tree)
}

fn head(directive: &Directive) -> Result<Head<'_>, Fault> {
    let first = directive.arg(1);
    if directive.args().len() == 2 {
        let modifier = match first {
            "=" => Modifier::Exact,
            "^~" => Modifier::PrefixStopsRegex,
            "~" => Modifier::Regex,
            "~*" => Modifier::RegexCaseless,
            _ => return Err(Fault::at(1, format!("invalid location modifier \"{first}\""))),
        };
        return Ok(Head { modifier, name: directive.arg(2), number: 2 });
    }
    let glued = [
        ("=", Modifier::Exact),
        ("^~", Modifier::PrefixStopsRegex),
        ("~*", Modifier::RegexCaseless),
        ("~", Modifier::Regex),
    ];
    let found = glued.into_iter().find_map(|(sign, modifier)| Some((modifier, first.strip_prefix(sign)?)));
    let (modifier, name) = match found {
        Some(found) => found,
        None if first.starts_with('@') => (Modifier::Named, first),
        None => (Modifier::Prefix, first),
    };
    Ok(Head { modifier, name, number: 1 })
}

fn check_nesting(scope: &Scope<'_>, head: &Head<'_>) -> Result<(), Fault> {
    let (name, outer) = (head.name, &scope.location.name);
    let fault = |message: String| Err(Fault::at(head.number, message));
    match scope.location.kind {
        LocationKind::Exact => {
            return fault(format!("location \"{name}\" cannot be inside the exact location \"{outer}\""));
        }
        LocationKind::Named => {
            return fault(format!("location \"{name}\" cannot be inside the named location \"{outer}\""));
        }
        LocationKind::Server | LocationKind::Prefix | LocationKind::Regex(_) => {}
    }
    let is_regex = matches!(head.modifier, Modifier::Regex | Modifier::RegexCaseless);
    if head.modifier == Modifier::Named {
        return fault(format!("named location \"{name}\" can be on the server level only"));
    }
    if !is_regex && !name.starts_with(outer.as_str()) {
        return fault(format!("location \"{name}\" is outside location \"{outer}\""));
    }
    Ok(())
}

fn kind(scope: &mut Scope<'_>, directive: &Directive, head: &Head<'_>) -> Result<Kind, Fault> {
    let kind = match head.modifier {
        Modifier::Exact => LocationKind::Exact,
        Modifier::Named => LocationKind::Named,
        Modifier::Prefix | Modifier::PrefixStopsRegex => LocationKind::Prefix,
        Modifier::Regex | Modifier::RegexCaseless => {
            let caseless = head.modifier == Modifier::RegexCaseless;
            let (pattern, assigns) = scope.capturing(directive, head.number, head.name, caseless)?;
            return Ok((LocationKind::Regex(pattern), assigns));
        }
    };
    Ok((kind, Vec::new()))
}

fn place(scope: &mut Scope<'_>, directive: &Directive, head: &Head<'_>, id: usize) -> Result<(), Fault> {
    let name = head.name;
    let placed = match head.modifier {
        Modifier::Exact => scope.tree.add_exact(name, id),
        Modifier::Prefix => scope.tree.add_prefix(name, id, false),
        Modifier::PrefixStopsRegex => scope.tree.add_prefix(name, id, true),
        Modifier::Named => {
            if scope.tree.add_named(name, id).is_err() {
                // nginx takes the first without a word.
                scope.warn(directive, Fault::at(head.number, format!("duplicate location \"{name}\", ignored")));
            }
            return Ok(());
        }
        Modifier::Regex | Modifier::RegexCaseless => {
            let location = scope.locations[id].as_ref().expect("the location was put here before it is placed");
            match &location.kind {
                LocationKind::Regex(pattern) => scope.tree.add_regex(pattern.clone(), id),
                _ => Ok(()),
            }
        }
    };
    placed.map_err(|_| Fault::at(head.number, format!("duplicate location \"{name}\"")))
}
