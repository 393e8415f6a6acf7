//! A configuration as lines of text that stay readable and stable: places and hash tables left out, short values on one
//! line.

use culvert_conf::Config;
use std::collections::HashSet;
use std::fmt::Debug;

/// What `config` says, without the fields that are the same in `plain`.
pub(crate) fn outline(plain: &Config, config: &Config) -> String {
    let mut known = HashSet::new();
    for node in parse(&format!("{plain:#?}")) {
        node.collect_fields(&mut known);
    }
    let mut out = String::new();
    for mut node in parse(&format!("{config:#?}")) {
        node.drop_fields(&known);
        node.write(0, &mut out);
    }
    out
}

/// A value on one line.
pub(crate) fn compact(value: &impl Debug) -> String {
    let node = parse(&format!("{value:#?}"));
    node.iter().map(Node::on_one_line).collect()
}

/// A line of `{:#?}` with the lines inside it.
#[derive(Debug)]
struct Node {
    head: String,
    inside: Vec<Node>,
    tail: String,
}

/// Fields whose content is noise here, or has no fixed order.
const LEFT_OUT: [&str; 3] = ["place: ", "tree: ", "table: "];

const WIDTH: usize = 150;

fn parse(text: &str) -> Vec<Node> {
    let mut stack: Vec<Vec<Node>> = vec![Vec::new()];
    for line in text.lines().map(str::trim) {
        let closes = line.starts_with(['}', ']', ')']);
        if closes {
            let mut inside = stack.pop().expect("brackets pair up");
            let node = stack.last_mut().and_then(|nodes| nodes.last_mut()).expect("something was opened");
            if node.head.starts_with("types: ") {
                inside.sort_by(|a, b| a.head.cmp(&b.head));
            }
            node.inside = inside;
            node.tail = line.to_owned();
            // `]: Value {`: a key of a table ends and its value begins.
            if !line.ends_with(['{', '[', '(']) {
                continue;
            }
        }
        let node = Node { head: line.to_owned(), inside: Vec::new(), tail: String::new() };
        stack.last_mut().expect("brackets pair up").push(node);
        if line.ends_with(['{', '[', '(']) {
            stack.push(Vec::new());
        }
    }
    stack.pop().expect("brackets pair up")
}

impl Node {
    /// `Location` for `Location {` and `root: Location {`; nothing for a list or a plain value.
    fn type_name(&self) -> Option<&str> {
        self.head.strip_suffix(" {").map(|head| head.rsplit(' ').next().unwrap_or(head))
    }

    fn collect_fields(&self, known: &mut HashSet<String>) {
        for field in &self.inside {
            known.extend(self.type_name().map(|name| format!("{name} {}", field.on_one_line())));
            field.collect_fields(known);
        }
    }

    fn drop_fields(&mut self, known: &HashSet<String>) {
        if let Some(name) = self.type_name().map(str::to_owned) {
            let says_which =
                |field: &Node| ["kind: ", "name: ", "addr: "].iter().any(|head| field.head.starts_with(head));
            self.inside
                .retain(|field| says_which(field) || !known.contains(&format!("{name} {}", field.on_one_line())));
        }
        self.inside.iter_mut().for_each(|node| node.drop_fields(known));
    }

    fn write(&self, depth: usize, out: &mut String) {
        if LEFT_OUT.iter().any(|name| self.head.starts_with(name)) {
            return;
        }
        let indent = "  ".repeat(depth);
        let short = self.on_one_line();
        if short.len() + indent.len() <= WIDTH {
            out.push_str(&format!("{indent}{short}\n"));
            return;
        }
        out.push_str(&format!("{indent}{}\n", self.head));
        self.inside.iter().for_each(|node| node.write(depth + 1, out));
        out.push_str(&format!("{indent}{}\n", self.tail));
    }

    fn on_one_line(&self) -> String {
        if LEFT_OUT.iter().any(|name| self.head.starts_with(name)) {
            return String::new();
        }
        let inside: Vec<String> = self.inside.iter().map(Node::on_one_line).filter(|text| !text.is_empty()).collect();
        let inside = inside.join(" ");
        format!("{}{}{}", self.head, inside.trim_end_matches(','), self.tail)
    }
}
