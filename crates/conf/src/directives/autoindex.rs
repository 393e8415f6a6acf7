//! `autoindex` and its relations.

use crate::config::ListingFormat;
use crate::registry::{Arity, Contexts, Row};

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("autoindex", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.files().listing = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether a folder without an index file is answered with a list of what is in it."),
    Row::new("autoindex_exact_size", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.files().listing_exact_size = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc(
        "Whether lengths of files are given in bytes, or rounded to kilobytes, megabytes and gigabytes (`html` only).",
    ),
    Row::new("autoindex_format", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.files().listing_format = match directive.arg(1) {
            "html" => ListingFormat::Html,
            "json" => ListingFormat::Json,
            "jsonp" => ListingFormat::Jsonp,
            "xml" => ListingFormat::Xml,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("html")
    .doc("What the list is written in. For `jsonp` the argument `callback` names the function."),
    Row::new("autoindex_localtime", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.files().listing_local_time = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether times are local, or in UTC (`html` only)."),
];
