//! Makes a whole configuration file of what a test says.

use crate::Place;

/// Fills the placeholders, and adds what a test need not say: `daemon off`, the pid file, logs in the test's directory, an
/// `events` block, and an `http` block around a text that has none. Lines are added in front of the first one without a
/// line break, so that line numbers in messages stay those of the test's text.
pub(crate) fn complete(text: &str, place: &Place) -> String {
    let mut whole = String::new();
    let says = |directive: &str| text.split([';', '{', '}', '\n']).any(|part| starts_with_word(part, directive));
    for (directive, line) in [
        ("daemon", "daemon off; "),
        ("pid", "pid {dir}/gateway.pid; "),
        ("error_log", "error_log {dir}/error.log info; "),
        ("events", "events {} "),
    ] {
        if !says(directive) {
            whole += line;
        }
    }
    let log = if says("access_log") { "" } else { "access_log {dir}/access.log; " };
    if says("http") {
        whole += text;
    } else {
        whole += &format!("http {{ {log}{text}\n}}\n");
    }
    place.fill(&whole)
}

/// Keeps nginx's temporary files in the test's directory; Culvert has no such files, and no use for the directives.
pub(crate) fn with_nginx_paths(config: &str, place: &Place) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!(" {kind}_temp_path {}/{kind}_temp;", place.dir().display()))
        .collect();
    match config.find("http {") {
        Some(at) => format!("{}{paths}{}", &config[..at + 6], &config[at + 6..]),
        None => config.to_owned(),
    }
}

fn starts_with_word(part: &str, word: &str) -> bool {
    let rest = part.trim_start().strip_prefix(word);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_http_block_gets_all_that_it_lacks() {
        let place = Place::new();
        let whole = complete("server { listen {address}:1; }", &place);
        let dir = place.dir().display();
        let expected = format!(
            "daemon off; pid {dir}/gateway.pid; error_log {dir}/error.log info; events {{}} \
             http {{ access_log {dir}/access.log; server {{ listen {}:1; }}\n}}\n",
            place.address()
        );
        assert_eq!(whole, expected);
    }

    #[test]
    fn what_a_text_says_itself_is_left_alone() {
        let place = Place::new();
        let text = "daemon off; pid p; error_log e;\nevents { }\nhttp { access_log off; }";
        assert_eq!(complete(text, &place), text);
    }
}
