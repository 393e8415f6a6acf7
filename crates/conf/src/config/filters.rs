//! What a location does to responses on their way out: compression, character sets, replaced text, added headers.

use culvert_engine::charset::Table;
use culvert_engine::pattern::Pattern;
use culvert_engine::template::Template;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Everything about responses that a location inherits.
#[derive(Debug, Clone)]
pub struct FilterSettings {
    /// `gzip` and its relations.
    pub gzip: GzipSettings,
    /// `gunzip`.
    pub gunzip: bool,
    /// `charset` and its relations.
    pub charset: CharsetSettings,
    /// `sub_filter` and its relations.
    pub sub: SubSettings,
    /// `add_before_body` and its relations.
    pub addition: AdditionSettings,
    /// `expires`.
    pub expires: Expires,
    /// `add_trailer`, in order.
    pub trailers: Arc<[AddTrailer]>,
}

/// `gzip` and its relations.
#[derive(Debug, Clone)]
pub struct GzipSettings {
    /// `gzip`.
    pub on: bool,
    /// `gzip_types`.
    pub types: Types,
    /// `gzip_min_length` in bytes.
    pub length_min: u64,
    /// `gzip_comp_level`.
    pub level: u32,
    /// `gzip_http_version`: whether clients of HTTP/1.0 get it too.
    pub http_1_0: bool,
    /// `gzip_proxied`.
    pub proxied: GzipProxied,
    /// `gzip_vary`.
    pub vary: bool,
    /// `gzip_disable`: what `User-Agent` must not match.
    pub disabled_for: Arc<[Pattern]>,
    /// `gzip_disable msie6`.
    pub disabled_for_msie6: bool,
}

/// `gzip_proxied`: which responses to requests with a `Via` are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GzipProxied {
    /// `any`: all.
    pub any: bool,
    /// `expired`: with an `Expires` in the past.
    pub expired: bool,
    /// `no-cache` in `Cache-Control`.
    pub no_cache: bool,
    /// `no-store` in `Cache-Control`.
    pub no_store: bool,
    /// `private` in `Cache-Control`.
    pub private: bool,
    /// `no_last_modified`: without a `Last-Modified`.
    pub no_last_modified: bool,
    /// `no_etag`: without an `ETag`.
    pub no_etag: bool,
    /// `auth`: to requests with `Authorization`.
    pub auth: bool,
}

impl GzipProxied {
    /// `off`: none.
    pub fn is_off(self) -> bool {
        self == GzipProxied::default()
    }
}

/// A list of content types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Types {
    /// `*`.
    All,
    /// These, in lower case.
    These(Arc<[Box<str>]>),
}

impl Types {
    /// Whether the value of a `Content-Type` is one of them, its parameters aside. Without one only `*` does.
    pub fn contain(&self, content_type: Option<&[u8]>) -> bool {
        let Some(content_type) = content_type else { return *self == Types::All };
        let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
        let name = content_type[..end].trim_ascii();
        match self {
            Types::All => true,
            Types::These(names) => names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())),
        }
    }
}

/// `charset` and its relations.
#[derive(Debug, Clone)]
pub struct CharsetSettings {
    /// `charset`; `None` is `off`.
    pub target: Option<Template>,
    /// `source_charset`.
    pub source: Option<Template>,
    /// `override_charset`: whether what an upstream says of its character set is replaced.
    pub overrides: bool,
    /// `charset_types`.
    pub types: Types,
}

/// The character sets that a configuration names, and how they are converted.
#[derive(Debug, Clone, Default)]
pub struct Charsets {
    /// Their names, in lower case.
    pub names: BTreeSet<String>,
    /// `charset_map`, in both directions: by source and target, in lower case.
    pub table: HashMap<(String, String), Arc<Table>>,
}

/// `sub_filter` and its relations.
#[derive(Debug, Clone)]
pub struct SubSettings {
    /// `sub_filter`, in order.
    pub pairs: Arc<[SubPair]>,
    /// `sub_filter_once`: each text is replaced once.
    pub once: bool,
    /// `sub_filter_types`.
    pub types: Types,
    /// `sub_filter_last_modified`: whether `Last-Modified` stays.
    pub keeps_last_modified: bool,
}

/// One `sub_filter`.
#[derive(Debug, Clone)]
pub struct SubPair {
    /// What is looked for, in any case.
    pub text: Template,
    /// What takes its place.
    pub replacement: Template,
}

/// `add_before_body` and its relations.
#[derive(Debug, Clone)]
pub struct AdditionSettings {
    /// `add_before_body`: a URI; empty for none.
    pub before: Arc<[u8]>,
    /// `add_after_body`: a URI; empty for none.
    pub after: Arc<[u8]>,
    /// `addition_types`.
    pub types: Types,
}

/// `expires`.
#[derive(Debug, Clone)]
pub enum Expires {
    /// Without variables.
    Fixed(ExpiresRule),
    /// With variables: the text, and whether `modified` stands before it.
    Variable {
        /// What is parsed for each response.
        text: Template,
        /// Whether times count from `Last-Modified`.
        from_modified: bool,
    },
}

/// What `expires` says of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiresRule {
    /// `off`.
    Off,
    /// `epoch`.
    Epoch,
    /// `max`.
    Max,
    /// Seconds after now.
    AfterNow(i64),
    /// `modified`: seconds after `Last-Modified`.
    AfterModified(i64),
    /// `@time`: at this second of a day.
    Daily(i64),
}

impl ExpiresRule {
    /// Reads the text of `expires`. An error is what is wrong with it, in nginx's words.
    pub fn parse(text: &str, from_modified: bool) -> Result<ExpiresRule, &'static str> {
        crate::directives::expires::parse(text, from_modified)
    }
}

/// `add_trailer`.
#[derive(Debug, Clone)]
pub struct AddTrailer {
    /// The trailer's name.
    pub name: bytes::Bytes,
    /// Its value, known when the body is out; none is added where it renders empty.
    pub value: Template,
    /// `always`: on every status.
    pub always: bool,
}
