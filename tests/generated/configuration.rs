//! Server blocks with locations, rewrites and upstreams put together by chance.

use crate::dice::Dice;
use std::collections::HashSet;

/// What a location or a test says of the request that came to it.
const TELL: &str = "uri=$uri args=$args target=$request_uri 1=$1 2=$2 n=$n v=$v";

const PREFIXES: &[&str] = &[
    "/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/ab/", "/b", "/b/", "/A/", "/abc", "\"/a b\"", "/é", "/a/a/", "/base/",
    "/c/", "//a", "/a.php", "/.", "/%25", "\"/;x\"",
];
const PATTERNS: &[&str] = &[
    "^/a",
    "^/b/",
    "b$",
    "/$",
    r"\.php$",
    r"\.(php|html)$",
    "^/(a|b)/(.*)$",
    "(?<n>[^/]+)$",
    "^/(?<n>a+)",
    "^/a/(?:b|c)/?",
    "^/(.*)$",
    "^(.*)$",
    "x y| ",
    "é",
    "^/[^/]*$",
    "^/(.)(.)?",
    "c",
    "^$",
    "(a)(b)?",
    r"^/a\b",
    "^/base(/.*)?$",
    "[^a-z/]",
];
const PATHS: &[&str] = &[
    "/b/$1",
    "/a$1",
    "/$2",
    "$1",
    "/b",
    "/a/b/$2",
    "/é/$1",
    "/a%20$1",
    "/c/$1/x.php",
    "/a/b/",
    "/base/$1",
    "/$n",
    "x$1",
    "/A/$uri",
    "/..//$1",
];
const QUERIES: &[&str] = &["?y=$1", "?", "?y=$1?", "?y=$2&z=$arg_x", "??", "?x=1&y=2", "?$1"];
const ADDRESSES: &[&str] =
    &["http://h/$1", "https://h/?q=$1", "$scheme://h$uri", "http://h/a%2fb%20c/$1?", "http://h/$2?z=%2f"];
const PASSES: &[&str] = &["", "", "/", "/base", "/base/", "/b%20c/", "/b?x", "/b/?x=1&"];

/// One server block.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Builds a server's text line by line.
struct Writer<'d> {
    dice: &'d mut Dice,
    lines: Vec<String>,
    label: usize,
    named: usize,
}

/// Where a location's lines stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Server,
    Prefix,
    Regex,
    Named,
}

pub(crate) fn server(dice: &mut Dice, number: usize) -> Server {
    let name = format!("s{number}");
    let named = dice.below(3);
    let mut writer = Writer { dice, lines: Vec::new(), label: 0, named };
    writer.head();
    writer.locations("/", 2);
    for number in 0..named {
        writer.lines.push(format!("location @n{number} {{"));
        writer.body(Place::Named);
        writer.lines.push("}".into());
    }
    let body = writer.lines.join("\n  ");
    let text = format!("server {{\n  listen {{address}}:8080; server_name {name}; root {{dir}}/empty;\n  {body}\n}}");
    Server { name, text }
}

impl Writer<'_> {
    fn head(&mut self) {
        if self.dice.once_in(2) {
            self.lines.push("absolute_redirect off;".into());
        } else if self.dice.once_in(3) {
            self.lines.push("server_name_in_redirect on; port_in_redirect off;".into());
        }
        if self.dice.once_in(3) {
            let page = self.target();
            let status = self.dice.pick(&["", "= ", "=200 ", "=302 ", "=403 "]);
            self.lines.push(format!("error_page 404 403 301 {status}{page};"));
        }
        if self.dice.once_in(6) {
            self.lines.push("recursive_error_pages on;".into());
        }
        if self.dice.once_in(4) {
            self.steps(Place::Server);
        }
    }

    /// Where an internal redirect may lead.
    fn target(&mut self) -> String {
        match self.named {
            0 => self.dice.pick(&["/b", "/a/b?x=9", "/c/", "http://elsewhere/"]).into(),
            named if self.dice.once_in(2) => format!("@n{}", self.dice.below(named)),
            _ => self.dice.pick(&["/b", "/a/b?x=9", "/c/", "$uri$v"]).into(),
        }
    }

    fn locations(&mut self, inside: &str, depth: usize) {
        let mut taken = HashSet::new();
        for _ in 0..self.dice.below(6) + depth {
            let (head, place) = self.location_head(inside);
            // A prefix stands once, with or without `^~`.
            if !taken.insert(head.replace("^~ ", "")) {
                continue;
            }
            self.lines.push(format!("location {head} {{"));
            if self.dice.once_in(8) {
                self.lines.push("internal;".into());
            }
            if depth > 1 && place != Place::Named && !head.starts_with('=') && self.dice.once_in(5) {
                let inside =
                    if place == Place::Prefix { head.trim_start_matches("^~ ").to_owned() } else { "/".into() };
                self.nested(place, &inside);
            }
            self.body(place);
            self.lines.push("}".into());
        }
    }

    fn nested(&mut self, place: Place, inside: &str) {
        let plain = place == Place::Prefix && !inside.starts_with('"');
        let head = match self.dice.below(3) {
            0 if plain => format!("{inside}b"),
            1 if plain => format!("= {inside}b/"),
            _ => format!("~ \"{}\"", self.dice.pick(PATTERNS)),
        };
        let place = if head.starts_with('~') { Place::Regex } else { Place::Prefix };
        self.lines.push(format!("location {head} {{"));
        self.body(place);
        self.lines.push("}".into());
    }

    fn location_head(&mut self, inside: &str) -> (String, Place) {
        let prefix = self.dice.pick(PREFIXES);
        let prefix = if prefix.trim_matches('"').starts_with(inside) { prefix } else { inside };
        match self.dice.below(10) {
            0 | 1 => (format!("= {prefix}"), Place::Prefix),
            2 => (format!("^~ {prefix}"), Place::Prefix),
            3..=6 => (prefix.into(), Place::Prefix),
            7 | 8 => (format!("~ \"{}\"", self.dice.pick(PATTERNS)), Place::Regex),
            _ => (format!("~* \"{}\"", self.dice.pick(PATTERNS)), Place::Regex),
        }
    }

    /// Steps and a handler.
    fn body(&mut self, place: Place) {
        if self.dice.once_in(2) {
            self.steps(place);
        }
        match self.dice.below(8) {
            0..=2 => {
                let tell = self.tell();
                self.lines.push(format!("return 200 \"{tell}\";"));
            }
            3..=5 => {
                let pass = self.pass(place);
                self.lines.push(pass);
            }
            6 => self.steps(place),
            _ => {}
        }
    }

    fn tell(&mut self) -> String {
        self.label += 1;
        format!("L{} {TELL}", self.label)
    }

    fn pass(&mut self, place: Place) -> String {
        match (place, self.dice.below(8)) {
            (_, 0) => "proxy_pass http://{backend}$request_uri;".into(),
            (_, 1) => "set $b {backend}; proxy_pass http://$b;".into(),
            (Place::Prefix, _) => format!("proxy_pass http://{{backend}}{};", self.dice.pick(PASSES)),
            _ => "proxy_pass http://{backend};".into(),
        }
    }

    fn steps(&mut self, place: Place) {
        for _ in 0..=self.dice.below(3) {
            let step = match self.dice.below(9) {
                0..=3 => self.rewrite(),
                4 => self.set(),
                5..=7 => self.if_block(place),
                _ => "break;".into(),
            };
            self.lines.push(step);
        }
    }

    fn rewrite(&mut self) -> String {
        let pattern = self.dice.pick(PATTERNS);
        if self.dice.once_in(5) {
            let address = self.dice.pick(ADDRESSES);
            return format!(
                "rewrite \"{pattern}\" {address} {};",
                self.dice.pick(&["", "last", "permanent", "redirect"])
            );
        }
        let path = self.dice.pick(PATHS);
        if self.dice.once_in(3) {
            let flag = self.dice.pick(&["", "last", "last", "break", "redirect", "permanent"]);
            return format!("rewrite \"{pattern}\" {path}{} {flag};", self.dice.pick(QUERIES));
        }
        format!("rewrite \"{pattern}\" {path} {};", self.dice.pick(&["", "", "last", "last", "break", "redirect"]))
    }

    fn set(&mut self) -> String {
        self.dice
            .pick(&[
                "set $v $1;",
                "set $v \"$v-$uri\";",
                "set $v x$2;",
                "set $args y=$arg_x;",
                "set $args \"\";",
                "set $v $args;",
                "set $v $n;",
            ])
            .into()
    }

    fn if_block(&mut self, place: Place) -> String {
        let pattern = self.dice.pick(PATTERNS);
        let condition = match self.dice.below(6) {
            0 => "$arg_x".into(),
            1 => "$arg_x = 1".into(),
            2 => "$args != \"\"".into(),
            3 => format!("$uri !~ \"{pattern}\""),
            4 => format!("$request_uri ~* \"{pattern}\""),
            _ => format!("$uri ~ \"{pattern}\""),
        };
        let inside = match self.dice.below(7) {
            0 => self.set(),
            1 | 2 => self.rewrite(),
            3 => self.return_(),
            4 if place != Place::Server => {
                self.label += 1;
                format!("add_header X-If {};", self.label)
            }
            5 if place != Place::Server => "proxy_pass http://{backend};".into(),
            _ => "break;".into(),
        };
        format!("if ({condition}) {{ {inside} }}")
    }

    fn return_(&mut self) -> String {
        let tell = self.tell();
        match self.dice.below(6) {
            0 => format!("return 200 \"if {tell}\";"),
            1 => "return 301 /r$uri;".into(),
            2 => "return 302 http://h/$1;".into(),
            3 => "return 403;".into(),
            4 => "return 404 \"text $uri\";".into(),
            _ => "return 307 $v;".into(),
        }
    }
}
