//! What a location says about files: where they are, which one stands for a folder, and how they are asked for.

use culvert_engine::content::IfModifiedSince;
use culvert_engine::template::Template;
use std::path::Path;
use std::sync::Arc;

/// Everything about files that a location inherits.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// Where relative paths begin that only a request makes known (`root $folder`).
    pub prefix: Arc<Path>,
    /// `root` or `alias`.
    pub root: Root,
    /// `index`, in order. One that begins with a slash is a URI, and the last that is tried.
    pub index: Arc<[Template]>,
    /// `random_index`.
    pub random_index: bool,
    /// `autoindex`.
    pub listing: bool,
    /// `autoindex_format`.
    pub listing_format: ListingFormat,
    /// `autoindex_exact_size`.
    pub listing_exact_size: bool,
    /// `autoindex_localtime`.
    pub listing_local_time: bool,
    /// `etag`.
    pub etag: bool,
    /// `if_modified_since`.
    pub if_modified_since: IfModifiedSince,
    /// `max_ranges`; 0 turns ranges off.
    pub ranges_max: usize,
    /// `disable_symlinks`.
    pub symlinks: Symlinks,
    /// `gzip_static`.
    pub gzip_static: GzipStatic,
}

/// `root` or `alias`.
#[derive(Debug, Clone)]
pub struct Root {
    /// The folder; absolute, unless it begins with a variable.
    pub path: Template,
    /// What of the URI is not part of the path.
    pub kind: RootKind,
}

/// How a URI becomes a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// `root`: the whole URI stands behind the folder.
    Root,
    /// `alias`: the URI without this many bytes at its beginning, the location's name.
    Alias(usize),
    /// `alias` in a location with a regular expression: nothing of the URI, the path is whole.
    AliasWhole,
}

/// `autoindex_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingFormat {
    /// `html`.
    Html,
    /// `json`.
    Json,
    /// `jsonp`.
    Jsonp,
    /// `xml`.
    Xml,
}

/// `disable_symlinks`.
#[derive(Debug, Clone, PartialEq)]
pub enum Symlinks {
    /// `off`: they are followed.
    Followed,
    /// `on`: a path with one in it is forbidden, behind what `from=` gives.
    Refused(Option<Template>),
    /// `if_not_owner`: one is followed if what it points at has the same owner, behind what `from=` gives.
    OfSameOwner(Option<Template>),
}

/// `gzip_static`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GzipStatic {
    /// `off`.
    Off,
    /// `on`: for clients that take gzip.
    On,
    /// `always`: for all.
    Always,
}
