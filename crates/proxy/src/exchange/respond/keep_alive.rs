//! Browsers that can't be trusted with a connection that is kept (`keepalive_disable`).

use crate::exchange::Exchange;

/// Whether the location wants the connection of such a browser closed after its response.
pub(super) fn is_disabled(exchange: &Exchange) -> bool {
    let disable = exchange.location.client.keepalive_disable;
    // Nobody looks for the line in vain: by default this is about MSIE's POST requests only.
    let msie6 = disable.msie6 && exchange.request.method() == b"POST";
    if !msie6 && !disable.safari {
        return false;
    }
    let Some(agent) = exchange.request.head.headers.first("user-agent") else { return false };
    msie6 && is_msie6(agent) || disable.safari && is_safari(agent)
}

/// MSIE 4 to 6, but for the one of Windows XP's second service pack, and no Opera that calls itself so.
fn is_msie6(agent: &[u8]) -> bool {
    let version = find(agent, b"MSIE ").and_then(|at| agent.get(at + 5..at + 7));
    let is_old = match version {
        Some([b'4' | b'5', b'.']) => true,
        Some([b'6', b'.']) => find(agent, b"SV1").is_none(),
        _ => false,
    };
    is_old && find(agent, b"Opera").is_none()
}

fn is_safari(agent: &[u8]) -> bool {
    let is_other = [&b"MSIE "[..], b"Opera", b"Gecko/", b"Chrome/"].iter().any(|name| find(agent, name).is_some());
    !is_other && find(agent, b"Safari/").is_some() && find(agent, b"Mac OS X").is_some()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_browsers_are_known_by_their_names() {
        assert!(is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1) Opera 7.54"));
        assert!(!is_msie6(b"Mozilla/4.0 (compatible; MSIE 8.0)"));
        assert!(!is_msie6(b"MSIE "));
        assert!(is_safari(
            b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7) AppleWebKit/534 (KHTML, like Gecko) Version/5.1 Safari/534"
        ));
        assert!(!is_safari(b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7) AppleWebKit/537 Chrome/120.0 Safari/537"));
    }
}
