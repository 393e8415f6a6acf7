//! `valid_referers`: whether the page that a request comes from is one of ours.

use crate::pattern::{Pattern, TooSlow};
use crate::route::host_table::{HostKeyError, HostTable, lower};

/// What a location knows of valid referers.
#[derive(Debug, Clone, Default)]
pub struct Referers {
    /// `none`: a request without the header is valid.
    pub allows_none: bool,
    /// `blocked`: so is a value without a scheme, as some proxies write it.
    pub allows_blocked: bool,
    /// Hosts and masks, each with the beginning that the path must have, if any.
    hosts: HostTable<Option<Box<[u8]>>>,
    has_hosts: bool,
    patterns: Vec<Pattern>,
    /// Patterns of `server_names`, which see the host alone.
    host_patterns: Vec<Pattern>,
}

/// Why a host can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefererKeyError {
    /// nginx: `conflicting parameter "…"`.
    Conflicting,
    /// nginx: `invalid hostname or wildcard "…"`.
    Invalid,
}

/// The shortest address that can be one (`http://i.ru`).
const ADDRESS_BYTES_MIN: usize = 11;

/// Longer host names are no names.
const HOST_BYTES_MAX: usize = 256;

impl Referers {
    /// Adds `example.com`, `*.example.com`, `example.*`, and what the path begins with.
    ///
    /// # Errors
    /// For a name that is there already, or none.
    pub fn insert_host(&mut self, host: &str, path: Option<&str>) -> Result<(), RefererKeyError> {
        self.has_hosts = true;
        self.hosts.insert(host, path.map(|path| path.as_bytes().into())).map_err(|error| match error {
            HostKeyError::Conflicting => RefererKeyError::Conflicting,
            HostKeyError::Invalid => RefererKeyError::Invalid,
        })
    }

    /// Adds a pattern for what follows `http://` or `https://`.
    pub fn insert_pattern(&mut self, pattern: Pattern) {
        self.patterns.push(pattern);
    }

    /// Adds the pattern of a server's name.
    pub fn insert_host_pattern(&mut self, pattern: Pattern) {
        self.host_patterns.push(pattern);
    }

    /// Whether nothing but `none` and `blocked` was said.
    pub fn is_empty(&self) -> bool {
        !self.has_hosts && self.patterns.is_empty() && self.host_patterns.is_empty()
    }

    /// Whether a request with this `Referer` is valid.
    ///
    /// # Errors
    /// Where a pattern gave up.
    pub fn allows(&self, referer: Option<&[u8]>) -> Result<bool, TooSlow> {
        if self.is_empty() {
            return Ok(true);
        }
        let Some(referer) = referer else { return Ok(self.allows_none) };
        let Some(rest) = without_scheme(referer) else { return Ok(self.allows_blocked) };
        let end = rest.iter().position(|b| matches!(b, b'/' | b':')).unwrap_or(rest.len());
        if end > HOST_BYTES_MAX {
            return Ok(false);
        }
        let host = lower(&rest[..end]);
        if let Some(path) = self.hosts.find(&host) {
            let asked = rest[end..].iter().position(|&b| b == b'/').map_or(&b""[..], |slash| &rest[end + slash..]);
            return Ok(path.as_ref().is_none_or(|path| asked.starts_with(path)));
        }
        for pattern in &self.host_patterns {
            if pattern.is_match(&host)? {
                return Ok(true);
            }
        }
        for pattern in &self.patterns {
            if pattern.is_match(rest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn without_scheme(referer: &[u8]) -> Option<&[u8]> {
    let strip = |scheme: &[u8]| {
        let (head, rest) = referer.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    if referer.len() < ADDRESS_BYTES_MIN {
        return None;
    }
    strip(b"http://").or_else(|| strip(b"https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(referers: &Referers, referer: &str) -> bool {
        referers.allows(Some(referer.as_bytes())).expect("fast")
    }

    #[test]
    fn a_page_of_a_known_host_is_valid() {
        let mut referers = Referers::default();
        referers.insert_host("*.example.com", None).expect("new");
        referers.insert_host("example.org", Some("/ours/")).expect("new");
        referers.insert_pattern(Pattern::new(r"\.google\.", true).expect("a pattern"));
        assert!(allows(&referers, "https://WWW.example.com:8443/x"));
        assert!(allows(&referers, "http://example.org/ours/x") && !allows(&referers, "http://example.org/theirs/"));
        assert!(!allows(&referers, "http://example.org"));
        assert!(allows(&referers, "http://www.Google.com/"));
        assert!(!allows(&referers, "http://evil.example.net/?www.example.com"));
        assert!(!allows(&referers, "-") && referers.allows(None) == Ok(false));
    }

    #[test]
    fn none_and_blocked_are_for_requests_that_do_not_say() {
        let mut referers = Referers { allows_none: true, allows_blocked: true, ..Referers::default() };
        assert!(allows(&referers, "http://anything.example/"), "nothing valid is known, so nothing is invalid");
        referers.insert_host("example.com", None).expect("new");
        assert!(allows(&referers, "-") && referers.allows(None) == Ok(true));
        assert!(!allows(&referers, "http://other.example/"));
    }
}
