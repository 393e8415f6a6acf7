//! `sticky cookie`: the client carries the id of its server.

use super::Signer;
use super::cookie_time::cookie_time;
use crate::http1::{Headers, push_text};
use crate::template::Template;
use crate::variable::Variable;
use std::time::Duration;

/// The longest value that is looked at. Ids are a few dozen bytes, signatures 43.
const VALUE_BYTES_MAX: usize = 512;

/// The cookie and its attributes.
#[derive(Debug, Clone)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// `expires=`; without it the cookie lives as long as the browser.
    pub expires: Option<Expires>,
    /// `domain=`.
    pub domain: Option<Template>,
    /// `path=`.
    pub path: Option<Box<str>>,
    /// `httponly`.
    pub httponly: bool,
    /// `secure`.
    pub secure: bool,
    /// `samesite=`: `strict`, `lax`, `none`, or variables.
    pub samesite: Option<Template>,
    /// `signed`: who makes sure that a value is one that was given out.
    pub signer: Option<Signer>,
}

/// For how long a browser keeps the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// `max`: ten years, until the end of 2037.
    Max,
    /// So long.
    After(Duration),
}

impl Cookie {
    /// A cookie without attributes.
    pub fn new(name: impl Into<Box<str>>) -> Cookie {
        Cookie {
            name: name.into(),
            expires: None,
            domain: None,
            path: None,
            httponly: false,
            secure: false,
            samesite: None,
            signer: None,
        }
    }

    /// The id of the server that a request asks for. `None` where it has no such cookie, or one that was not given out,
    /// is over, or is too long: then any server will do. `unix`: seconds since 1970.
    pub fn requested<'h>(&self, headers: &'h Headers, unix: u64) -> Option<&'h [u8]> {
        let value = cookie_value(headers, &self.name).filter(|value| (1..=VALUE_BYTES_MAX).contains(&value.len()))?;
        match &self.signer {
            Some(signer) => signer.verify(value, unix),
            None => Some(value),
        }
    }

    /// The value of `Set-Cookie` that binds a client to the server of this id, in the form that nginx gives it. `value`
    /// appends the value of a variable.
    pub fn set_cookie(&self, id: &str, unix: u64, mut value: impl FnMut(&Variable, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = format!("{}={}", self.name, self.value(id, unix)).into_bytes();
        match self.expires {
            None => {}
            Some(Expires::Max) => out.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"),
            Some(Expires::After(time)) => {
                let seconds = time.as_secs();
                let text = format!("; expires={}; max-age={seconds}", cookie_time(unix.saturating_add(seconds)));
                out.extend_from_slice(text.as_bytes());
            }
        }
        let domain = render(self.domain.as_ref(), &mut value);
        let samesite = render(self.samesite.as_ref(), &mut value);
        push_attribute(&mut out, "; domain=", &domain);
        out.extend_from_slice(if self.httponly { b"; httponly" } else { b"" });
        out.extend_from_slice(if self.secure { b"; secure" } else { b"" });
        push_attribute(&mut out, "; samesite=", known_samesite(&samesite));
        push_attribute(&mut out, "; path=", self.path.as_deref().unwrap_or_default().as_bytes());
        out
    }

    fn value(&self, id: &str, unix: u64) -> String {
        let Some(signer) = &self.signer else { return id.into() };
        let until = match self.expires {
            Some(Expires::After(time)) => Some(unix.saturating_add(time.as_secs())),
            Some(Expires::Max) | None => None,
        };
        signer.sign(id, until)
    }
}

/// The value of the first cookie of this name, in the way of nginx's `$cookie_name`: whatever the case of the name.
pub fn cookie_value<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    headers.all("cookie").flat_map(|line| line.split(|&byte| byte == b';')).find_map(|pair| {
        let (key, value) = pair.trim_ascii().split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
        value.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start)
    })
}

fn render(template: Option<&Template>, value: impl FnMut(&Variable, &mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(template) = template {
        template.render(&mut text, value);
    }
    text
}

/// An attribute without a value is left out. A semicolon in a variable ends the value: it can't bring further
/// attributes.
fn push_attribute(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let value = value.split(|&byte| byte == b';').next().unwrap_or_default();
    if !value.is_empty() {
        out.extend_from_slice(name.as_bytes());
        push_text(out, value);
    }
}

/// What variables give for `samesite`: anything that browsers don't know becomes the strictest.
fn known_samesite(value: &[u8]) -> &[u8] {
    let is_known = ["strict", "lax", "none"].iter().any(|known| value.eq_ignore_ascii_case(known.as_bytes()));
    if value.is_empty() || is_known { value } else { b"strict" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable;

    fn headers(lines: &str) -> Headers {
        Headers::parse(format!("{lines}\r\n").as_bytes()).expect("good").expect("whole").0
    }

    fn template(text: &str) -> Option<Template> {
        Some(Template::parse(text, |name| variable::builtin(name).expect("known")).expect("good"))
    }

    fn set(cookie: &Cookie, value: &str) -> String {
        let set = cookie.set_cookie("6e2e", 1_700_000_000, |_, out| out.extend_from_slice(value.as_bytes()));
        String::from_utf8(set).expect("text")
    }

    #[test]
    fn a_cookie_is_written_as_nginx_writes_it() {
        let plain = Cookie::new("srv_id");
        assert_eq!(set(&plain, ""), "srv_id=6e2e");
        let full = Cookie {
            expires: Some(Expires::After(Duration::from_secs(3600))),
            domain: template(".example.com"),
            path: Some("/".into()),
            httponly: true,
            secure: true,
            samesite: template("Lax"),
            ..plain.clone()
        };
        assert_eq!(
            set(&full, ""),
            "srv_id=6e2e; expires=Tue, 14-Nov-23 23:13:20 GMT; max-age=3600; domain=.example.com; httponly; secure; \
             samesite=Lax; path=/"
        );
        let max = Cookie { expires: Some(Expires::Max), ..plain };
        assert_eq!(set(&max, ""), "srv_id=6e2e; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000");
    }

    #[test]
    fn variables_give_attributes_and_no_more() {
        let cookie = Cookie { samesite: template("$arg_s"), domain: template("$host"), ..Cookie::new("a") };
        assert_eq!(set(&cookie, ""), "a=6e2e");
        assert_eq!(set(&cookie, "lax"), "a=6e2e; domain=lax; samesite=lax");
        assert_eq!(set(&cookie, "x"), "a=6e2e; domain=x; samesite=strict");
        assert_eq!(set(&cookie, "x; secure"), "a=6e2e; domain=x; samesite=strict");
        assert_eq!(set(&cookie, "x\r\nA: b"), "a=6e2e; domain=x  A: b; samesite=strict");
    }

    #[test]
    fn the_first_cookie_of_the_name_counts() {
        let lines = headers("Cookie: x=1; srv_id = 6e2e\r\nCookie: srv_id=other\r\n");
        assert_eq!(Cookie::new("SRV_ID").requested(&lines, 0), Some(&b"6e2e"[..]));
        assert_eq!(Cookie::new("srv").requested(&lines, 0), None);
        assert_eq!(Cookie::new("y").requested(&lines, 0), None);
    }

    #[test]
    fn empty_and_oversized_values_ask_for_nothing() {
        let cookie = Cookie::new("a");
        assert_eq!(cookie.requested(&headers("Cookie: a=\r\n"), 0), None);
        assert_eq!(cookie.requested(&headers(&format!("Cookie: a={}\r\n", "x".repeat(513))), 0), None);
        assert!(cookie.requested(&headers(&format!("Cookie: a={}\r\n", "x".repeat(512))), 0).is_some());
    }

    #[test]
    fn a_signed_cookie_comes_back_to_its_server_until_it_expires() {
        let signer = Signer::new([&b"secret"[..]], "chat");
        let expires = Some(Expires::After(Duration::from_secs(60)));
        let cookie = Cookie { signer: Some(signer), expires, ..Cookie::new("a") };
        let set = String::from_utf8(cookie.set_cookie("6e2e", 1000, |_, _| {})).expect("text");
        let pair = set.split(';').next().expect("a pair");
        let lines = headers(&format!("Cookie: {pair}\r\n"));
        assert_eq!(cookie.requested(&lines, 1060), Some(&b"6e2e"[..]));
        assert_eq!(cookie.requested(&lines, 1061), None);
        assert_eq!(cookie.requested(&headers("Cookie: a=6e2e\r\n"), 1000), None);
    }
}
