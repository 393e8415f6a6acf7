//! What a location says about WebSockets: the handshake's policy, and what is watched while frames pass.

use culvert_engine::websocket::Policy;
use std::sync::Arc;
use std::time::Duration;

/// Everything of `websocket_…` that a location inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketSettings {
    /// `websocket_frames`: whether frame headers are read as they pass. Off is the raw mode, in which a tunnel carries
    /// bytes and `policy` is the default one.
    pub frames: bool,
    /// Heartbeat, limits, lifetime and validation, shared by all tunnels of the location.
    pub policy: Arc<Policy>,
    /// `websocket_origin`; `None` is `any`.
    pub origins: Option<OriginRule>,
    /// `websocket_subprotocols`: the names that may be negotiated; `None` is `any`.
    pub subprotocols: Option<Arc<[Box<str>]>>,
    /// `websocket_deflate`.
    pub deflate: Deflate,
    /// `websocket_close_timeout`: how long a drain waits for the peers' Close frames.
    pub close_timeout: Duration,
    /// `websocket_log_open`: whether a line of the error log says that a socket opened.
    pub log_open: bool,
}

/// `websocket_origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginRule {
    /// The origins that may open a socket; one of them must fit.
    pub allowed: Vec<OriginPattern>,
    /// `report`: a mismatch is logged, and the handshake goes on.
    pub report_only: bool,
}

impl OriginRule {
    /// Whether a handshake with this `Origin` header (without one for `None`) comes from an allowed origin, whatever
    /// `report_only` makes of it.
    pub fn allows(&self, origin: Option<&[u8]>) -> bool {
        self.allowed.iter().any(|pattern| pattern.matches(origin))
    }
}

/// One origin of a `websocket_origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `none`: a request without an `Origin` header, as clients send that are no browsers.
    Absent,
    /// `https://example.com:8443` or `null`, in the form in which browsers send it: lower case, without the scheme's
    /// own port.
    Exact(Box<str>),
    /// `https://*.example.com`: every subdomain, at any depth, but not the domain itself.
    Subdomains {
        /// The scheme with the slashes after it: `https://`.
        scheme: Box<str>,
        /// What follows the asterisk, with the port if one is given: `.example.com`.
        suffix: Box<str>,
    },
}

impl OriginPattern {
    /// Whether this value of an `Origin` header fits.
    pub fn matches(&self, origin: Option<&[u8]>) -> bool {
        match (self, origin) {
            (OriginPattern::Absent, origin) => origin.is_none(),
            (_, None) => false,
            (OriginPattern::Exact(text), Some(origin)) => origin.eq_ignore_ascii_case(text.as_bytes()),
            (OriginPattern::Subdomains { scheme, suffix }, Some(origin)) => is_below(origin, scheme, suffix),
        }
    }
}

/// Whether `origin` is `scheme`, a non-empty list of labels, and `suffix`. What stands for the asterisk is checked, so
/// that nothing but a host name can hide there.
fn is_below(origin: &[u8], scheme: &str, suffix: &str) -> bool {
    let Some((head, rest)) = origin.split_at_checked(scheme.len()) else { return false };
    let Some((labels, tail)) = rest.len().checked_sub(suffix.len()).map(|at| rest.split_at(at)) else { return false };
    head.eq_ignore_ascii_case(scheme.as_bytes())
        && tail.eq_ignore_ascii_case(suffix.as_bytes())
        && labels.split(|&byte| byte == b'.').all(is_label)
}

fn is_label(label: &[u8]) -> bool {
    !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `websocket_deflate`: what becomes of a client's offer of permessage-deflate (RFC 7692).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deflate {
    /// `pass`: client and upstream negotiate as they like.
    #[default]
    Pass,
    /// `refuse`: the upstream does not see the offer.
    Refuse,
    /// `cap`: the upstream sees an offer that asks for no more than this.
    Cap {
        /// The largest window of what the client compresses, as a power of two from 8 to 15.
        client_max_window_bits: Option<u8>,
        /// The largest window of what the upstream compresses, as a power of two from 8 to 15.
        server_max_window_bits: Option<u8>,
        /// Whether both sides forget their window after each message.
        no_context_takeover: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below_example() -> OriginPattern {
        OriginPattern::Subdomains { scheme: "https://".into(), suffix: ".example.com".into() }
    }

    #[test]
    fn an_exact_origin_fits_itself_in_any_letter_case() {
        let pattern = OriginPattern::Exact("https://example.com".into());
        assert!(pattern.matches(Some(b"https://example.com")));
        assert!(pattern.matches(Some(b"HTTPS://Example.com")));
        for other in ["http://example.com", "https://example.com:8443", "https://example.com.evil.org", "null", ""] {
            assert!(!pattern.matches(Some(other.as_bytes())), "{other}");
        }
        assert!(!pattern.matches(None));
    }

    #[test]
    fn an_asterisk_stands_for_labels_of_a_host_and_nothing_else() {
        for good in ["https://a.example.com", "https://a.b-1.Example.com"] {
            assert!(below_example().matches(Some(good.as_bytes())), "{good}");
        }
        let bad = [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evil.org/.example.com",
            "https://evil.org#.example.com",
            "https://user@a.example.com",
            "https://evil.org:1.example.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://aexample.com",
            "https:/",
            "null",
        ];
        for bad in bad {
            assert!(!below_example().matches(Some(bad.as_bytes())), "{bad}");
        }
    }

    #[test]
    fn only_none_fits_a_request_without_an_origin() {
        assert!(OriginPattern::Absent.matches(None));
        assert!(!OriginPattern::Absent.matches(Some(b"")));
        assert!(!below_example().matches(None));
    }

    #[test]
    fn a_rule_allows_what_one_of_its_patterns_fits() {
        let rule = OriginRule { allowed: vec![below_example(), OriginPattern::Absent], report_only: false };
        assert!(rule.allows(None));
        assert!(rule.allows(Some(b"https://chat.example.com")));
        assert!(!rule.allows(Some(b"https://evil.org")));
    }
}
