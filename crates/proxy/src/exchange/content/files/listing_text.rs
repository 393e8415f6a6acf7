//! The list of a folder as text: `autoindex_format`, byte for byte as nginx writes it, since programs read it.

use super::listing::{Entry, EntryKind};
use crate::exchange::Exchange;
use crate::observe::access_log::write_json;
use chrono::{DateTime, Local, TimeZone, Utc};
use culvert_conf::config::ListingFormat;
use std::fmt::Write;

/// The content type and the text of a list.
pub(super) fn write(
    exchange: &Exchange,
    format: ListingFormat,
    callback: &[u8],
    entries: &[Entry],
) -> (&'static [u8], Vec<u8>) {
    match format {
        ListingFormat::Html => (b"text/html", html(exchange, entries)),
        ListingFormat::Json => (b"application/json", json(entries)),
        ListingFormat::Jsonp => (b"application/javascript", jsonp(callback, entries)),
        ListingFormat::Xml => (b"text/xml; charset=utf-8", xml(entries)),
    }
}

/// How wide the column of names is, in characters.
const NAME_CHARS: usize = 50;

fn html(exchange: &Exchange, entries: &[Entry]) -> Vec<u8> {
    let files = &exchange.location.files;
    let mut uri = Vec::new();
    escape_html(&exchange.request.uri, &mut uri);
    let mut out = b"<html>\r\n<head><title>Index of ".to_vec();
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    let is_utf8 = exchange.charset_is_utf8();
    for entry in entries {
        write_link(entry, is_utf8, &mut out);
        out.push(b' ');
        write_time(entry.modified, files.listing_local_time, &mut out);
        out.push(b' ');
        out.extend_from_slice(length_column(entry, files.listing_exact_size).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

/// The name as a link, in a column of its own. A long one is cut.
fn write_link(entry: &Entry, is_utf8: bool, out: &mut Vec<u8>) {
    let is_folder = entry.kind == EntryKind::Folder;
    out.extend_from_slice(b"<a href=\"");
    escape_component(&entry.name, out);
    if is_folder {
        out.push(b'/');
    }
    out.extend_from_slice(b"\">");
    let starts = char_starts(&entry.name, is_utf8);
    let mut width = starts.len();
    if width > NAME_CHARS {
        escape_html(&entry.name[..starts[NAME_CHARS - 3]], out);
        out.extend_from_slice(b"..&gt;</a>");
        return;
    }
    escape_html(&entry.name, out);
    if is_folder && width < NAME_CHARS {
        out.push(b'/');
        width += 1;
    }
    out.extend_from_slice(b"</a>");
    out.resize(out.len() + NAME_CHARS - width, b' ');
}

/// Where the characters of a name begin.
fn char_starts(name: &[u8], is_utf8: bool) -> Vec<usize> {
    match std::str::from_utf8(name) {
        Ok(text) if is_utf8 => text.char_indices().map(|(at, _)| at).collect(),
        _ => (0..name.len()).collect(),
    }
}

fn write_time(seconds: i64, is_local: bool, out: &mut Vec<u8>) {
    let offset = if is_local { i64::from(Local::now().offset().local_minus_utc()) } else { 0 };
    let time = time(seconds + offset);
    out.extend_from_slice(time.format("%d-%b-%Y %H:%M").to_string().as_bytes());
}

fn time(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(seconds, 0).single().unwrap_or_default()
}

fn length_column(entry: &Entry, is_exact: bool) -> String {
    const KILO: u64 = 1 << 10;
    let is_folder = entry.kind == EntryKind::Folder;
    let rounded = |scale: u64, sign: char| {
        let more = u64::from(entry.length % scale > scale / 2 - 1);
        format!("{:6}{sign}", entry.length / scale + more)
    };
    match (is_exact, entry.length) {
        (true, _) if is_folder => format!("{:>19}", "-"),
        (true, length) => format!("{length:19}"),
        (false, _) if is_folder => format!("{:>7}", "-"),
        (false, 0x4000_0000..) => rounded(KILO * KILO * KILO, 'G'),
        (false, 0x10_0000..) => rounded(KILO * KILO, 'M'),
        (false, 10_000..) => rounded(KILO, 'K'),
        (false, length) => format!(" {length:6}"),
    }
}

fn json(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (nth, entry) in entries.iter().enumerate() {
        out.extend_from_slice(if nth > 0 { b",\r\n{ \"name\":\"" } else { b"\r\n{ \"name\":\"" });
        escape_json(&entry.name, &mut out);
        let time = time(entry.modified).format("%a, %d %b %Y %H:%M:%S GMT");
        let mut rest = format!("\", \"type\":\"{}\", \"mtime\":\"{time}\"", kind_name(entry));
        if entry.kind == EntryKind::File {
            let _ = write!(rest, ", \"size\":{}", entry.length);
        }
        out.extend_from_slice(rest.as_bytes());
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\r\n]");
    out
}

/// The comment keeps what a client chose away from the very beginning, where it might pass for something else.
fn jsonp(callback: &[u8], entries: &[Entry]) -> Vec<u8> {
    [b"/* callback */\r\n", callback, b"(", &json(entries), b");"].concat()
}

fn xml(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"<?xml version=\"1.0\"?>\r\n<list>\r\n".to_vec();
    for entry in entries {
        let (kind, time) = (kind_name(entry), time(entry.modified).format("%Y-%m-%dT%H:%M:%SZ"));
        let length = match entry.kind {
            EntryKind::File => format!(" size=\"{}\"", entry.length),
            _ => String::new(),
        };
        out.extend_from_slice(format!("<{kind} mtime=\"{time}\"{length}>").as_bytes());
        escape_html(&entry.name, &mut out);
        out.extend_from_slice(format!("</{kind}>\r\n").as_bytes());
    }
    out.extend_from_slice(b"</list>\r\n");
    out
}

fn kind_name(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Folder => "directory",
        EntryKind::File => "file",
        EntryKind::Other => "other",
    }
}

fn escape_html(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            other => out.push(other),
        }
    }
}

fn escape_json(text: &[u8], out: &mut Vec<u8>) {
    text.iter().for_each(|&byte| write_json(byte, out));
}

/// Percent-encodes all but letters, digits and `-._~` (RFC 3986 section 2.3).
fn escape_component(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(byte),
            byte if byte.is_ascii_alphanumeric() => out.push(byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind, length: u64) -> Entry {
        Entry { name: b"a".to_vec(), kind, modified: 0, length }
    }

    #[test]
    fn rounded_lengths_have_a_letter() {
        let shown = |length| length_column(&entry(EntryKind::File, length), false);
        assert_eq!(shown(9_999), "   9999");
        assert_eq!(shown(10_000), "    10K");
        assert_eq!(shown((1 << 20) - 1), "  1024K");
        assert_eq!(shown(3 << 19), "     2M");
        assert_eq!(shown(5 << 30), "     5G");
        assert_eq!(length_column(&entry(EntryKind::Folder, 1), false), "      -");
    }

    #[test]
    fn a_long_name_is_cut_where_a_character_begins() {
        let mut out = Vec::new();
        let name = "ä".repeat(51);
        write_link(&Entry { name: name.into_bytes(), ..entry(EntryKind::File, 1) }, true, &mut out);
        let text = String::from_utf8(out).expect("no character was cut");
        assert!(text.ends_with(&format!("{}..&gt;</a>", "ä".repeat(47))), "{text}");
    }

    #[test]
    fn names_can_not_leave_their_place() {
        let (mut html, mut json, mut link) = (Vec::new(), Vec::new(), Vec::new());
        escape_html(b"<&\">", &mut html);
        escape_json(b"\"\\\n\x01", &mut json);
        escape_component(b"a/b ?", &mut link);
        assert_eq!(html, b"&lt;&amp;&quot;&gt;");
        assert_eq!(json, b"\\\"\\\\\\n\\u0001");
        assert_eq!(link, b"a%2Fb%20%3F");
    }
}
