//! Whether a client gets something compressed: what it says itself, and what `gzip_proxied`, `gzip_disable` and
//! `gzip_http_version` say of it.

use crate::exchange::Exchange;
use crate::exchange::client::OutHead;
use culvert_conf::config::GzipSettings;
use culvert_engine::content;
use culvert_engine::content::parse_date;
use culvert_engine::http1::Headers;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the response `head` may go out compressed.
pub(in crate::exchange) fn takes_gzip(exchange: &Exchange, head: &OutHead) -> bool {
    let settings = &exchange.location.filters.gzip;
    let request = &exchange.request.head;
    let agent = request.headers.first("user-agent");
    // A pattern that gives up on a hostile header has matched it.
    let is_disabled =
        |agent: &[u8]| settings.disabled_for.iter().any(|pattern| pattern.is_match(agent).unwrap_or(true));
    // What becomes a part of another response is compressed with it.
    !exchange.is_subrequest
        && request.headers.first("accept-encoding").is_some_and(content::takes_gzip)
        && (request.minor > 0 || settings.http_1_0)
        && !(settings.disabled_for_msie6 && agent.is_some_and(is_msie6))
        && (request.headers.first("via").is_none() || proxies_may(settings, &request.headers, head))
        && !agent.is_some_and(is_disabled)
}

/// Whether the response may go compressed through a proxy, which might keep it for others.
fn proxies_may(settings: &GzipSettings, request: &Headers, head: &OutHead) -> bool {
    let proxied = settings.proxied;
    if proxied.is_off() {
        return false;
    }
    if proxied.any || (proxied.auth && request.first("authorization").is_some()) {
        return true;
    }
    if let Some(expires) = head.headers.first("expires") {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        let date = head.headers.first("date").map_or_else(now, parse_date);
        return proxied.expired && matches!((parse_date(expires), date), (Some(expires), Some(date)) if expires < date);
    }
    let controls: Vec<&[u8]> = head.headers.all("cache-control").collect();
    if !controls.is_empty() {
        let says = |word: &str| controls.iter().any(|control| has_word(control, word.as_bytes()));
        return (proxied.no_cache && says("no-cache"))
            || (proxied.no_store && says("no-store"))
            || (proxied.private && says("private"));
    }
    let has = |name| head.headers.first(name).is_some();
    let is_marked = (proxied.no_last_modified && has("last-modified")) || (proxied.no_etag && has("etag"));
    !is_marked
}

/// Whether a list separated by commas has a word, with or without a value.
fn has_word(list: &[u8], word: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|item| {
        let end = item.iter().position(|&b| b == b'=').unwrap_or(item.len());
        item[..end].trim_ascii().eq_ignore_ascii_case(word)
    })
}

/// Internet Explorer 4 to 6, without the service pack that mended it.
fn is_msie6(agent: &[u8]) -> bool {
    let find = |text: &[u8], word: &[u8]| text.windows(word.len()).position(|window| window == word);
    let Some(behind) = find(agent, b"MSIE ").map(|at| &agent[at + 5..]) else { return false };
    match behind {
        [b'4' | b'5', b'.', ..] => true,
        [b'6', b'.', rest @ ..] => find(rest, b"SV1").is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_browsers_are_told_by_their_name() {
        assert!(is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"));
        assert!(is_msie6(b"Mozilla/4.0 (compatible; MSIE 5.5; Windows 98)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)"));
        assert!(!is_msie6(b"curl/8"));
    }

    #[test]
    fn words_of_cache_control_stand_between_commas() {
        assert!(has_word(b"max-age=0, No-Cache", b"no-cache"));
        assert!(has_word(b"private=\"x\"", b"private"));
        assert!(!has_word(b"not-private", b"private"));
    }
}
