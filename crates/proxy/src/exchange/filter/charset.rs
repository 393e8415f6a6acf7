//! `charset`: which character set `Content-Type` names, and the conversion to it.

use super::chain::{Chain, Link};
use crate::exchange::Exchange;
use crate::exchange::client::OutHead;
use culvert_conf::config::Level;
use culvert_engine::charset::{Recoder, Table};
use std::sync::Arc;

/// Names the character set, and converts to it from another.
pub(super) fn apply(exchange: &Exchange, head: &mut OutHead, chain: &mut Chain) {
    let is_asked_for = exchange.location.filters.charset.target.is_some();
    // An upstream may name one where the configuration has none.
    if !is_asked_for && exchange.upstream_headers.first("x-accel-charset").is_none() {
        return;
    }
    let Some(content_type) = head.headers.first("content-type").map(<[u8]>::to_vec) else { return };
    let (name, own) = take_apart(&content_type);
    let target = match dictated(exchange, head) {
        Some(target) => target,
        None => target(exchange, &content_type, own.as_deref()),
    };
    let Some(target) = target else { return };
    let settings = &exchange.location.filters.charset;
    let source = own.or_else(|| settings.source.as_ref().map(|source| text(exchange, source)));
    let Some(source) = source else { return set(head, &content_type, &target) };
    let charsets = &exchange.generation.config.http.charsets;
    let (from, to) = (source.to_ascii_lowercase(), target.to_ascii_lowercase());
    if from == to {
        let is_known = charsets.names.contains(&to);
        return set(head, if is_known { name } else { &content_type }, &target);
    }
    let table = charsets.table.get(&(from, to));
    match table {
        Some(_) if head.coding.is_some() => {}
        Some(table) => {
            set(head, name, &target);
            convert(head, table, chain);
        }
        None => {
            let doing = if head.is_own { "" } else { " while reading response header from upstream" };
            exchange.log(
                Level::Error,
                format_args!("no \"charset_map\" between the charsets \"{source}\" and \"{target}\"{doing}"),
            );
        }
    }
}

/// What the upstream says that it is to be (`X-Accel-Charset`): one that the configuration knows, or none.
fn dictated(exchange: &Exchange, head: &OutHead) -> Option<Option<String>> {
    // It goes with the response that says so, and as in nginx with what an X-Accel-Redirect puts in its place.
    let goes_with = !head.is_own || exchange.upstream_headers.first("x-accel-redirect").is_some();
    if !goes_with || exchange.location.proxy.response.ignore_headers.charset {
        return None;
    }
    let name = exchange.upstream_headers.first("x-accel-charset").filter(|name| !name.is_empty())?;
    let name = String::from_utf8_lossy(name).into_owned();
    if exchange.generation.config.http.charsets.names.contains(&name.to_ascii_lowercase()) {
        return Some(Some(name));
    }
    exchange.log(
        Level::Error,
        format_args!("unknown charset \"{name}\" to override while reading response header from upstream"),
    );
    Some(None)
}

/// What it is to be, if anything.
fn target(exchange: &Exchange, content_type: &[u8], own: Option<&str>) -> Option<String> {
    let settings = &exchange.location.filters.charset;
    let target = settings.target.as_ref()?;
    let applies = match own {
        Some(_) => settings.overrides,
        None => settings.types.contain(Some(content_type)),
    };
    // A variable without a value names none.
    applies.then(|| text(exchange, target)).filter(|target| !target.is_empty())
}

fn text(exchange: &Exchange, name: &culvert_engine::template::Template) -> String {
    String::from_utf8_lossy(&exchange.render(name)).into_owned()
}

fn set(head: &mut OutHead, content_type: &[u8], charset: &str) {
    // As nginx: browsers of old took a redirect's character set for that of the page behind it. Behind other parameters none
    // is added.
    if matches!(head.status, 301 | 302) || content_type.contains(&b';') {
        return;
    }
    head.replace("Content-Type", &[content_type, b"; charset=", charset.as_bytes()].concat());
}

fn convert(head: &mut OutHead, table: &Arc<Table>, chain: &mut Chain) {
    if table.changes_length() {
        head.content_length = None;
    }
    if head.has_body {
        chain.push(Recode { table: table.clone(), recoder: Recoder::default() });
    }
}

/// A content type without its parameters, and its character set.
fn take_apart(content_type: &[u8]) -> (&[u8], Option<String>) {
    let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
    let mut parameters = content_type[end..].split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let charset = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(b"charset=".len())?;
        name.eq_ignore_ascii_case(b"charset=").then(|| String::from_utf8_lossy(value.trim_ascii()).into_owned())
    });
    (content_type[..end].trim_ascii(), charset.map(|charset| charset.trim_matches('"').to_owned()))
}

struct Recode {
    table: Arc<Table>,
    recoder: Recoder,
}

impl Link for Recode {
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.recoder.feed(&self.table, input, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.recoder.finish(out);
        Ok(())
    }
}

impl Exchange {
    /// Whether the gateway's own HTML goes out as UTF-8.
    pub(in crate::exchange) fn charset_is_utf8(&self) -> bool {
        target(self, b"text/html", None).is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::take_apart;

    #[test]
    fn a_character_set_is_found_among_parameters() {
        assert_eq!(take_apart(b"text/html"), (&b"text/html"[..], None));
        assert_eq!(take_apart(b"text/html; Charset=\"UTF-8\""), (&b"text/html"[..], Some("UTF-8".into())));
        assert_eq!(take_apart(b"text/html;a=b; charset=koi8-r ;c"), (&b"text/html"[..], Some("koi8-r".into())));
    }
}
