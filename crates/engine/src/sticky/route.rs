//! Ids of servers, and who has which.

use crate::template::Template;
use crate::variable::Variable;
use md5::{Digest as _, Md5};
use std::collections::HashMap;

/// The id of a server: its `route=`, or the MD5 of its address as text (`127.0.0.1:80`, `[::1]:80`, `unix:/path`) in
/// lower-case hexadecimal, as nginx has it, so that cookies stay good when nginx is replaced.
pub fn server_id(address: &str, route: Option<&str>) -> Box<str> {
    match route {
        Some(route) if !route.is_empty() => route.into(),
        _ => Md5::digest(address).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    }
}

/// The first of the templates whose value is not empty. `value` appends the value of a variable.
pub fn first_value(templates: &[Template], mut value: impl FnMut(&Variable, &mut Vec<u8>)) -> Option<Vec<u8>> {
    templates.iter().find_map(|template| {
        let mut text = Vec::new();
        template.render(&mut text, &mut value);
        (!text.is_empty()).then_some(text)
    })
}

/// Which peers have an id: usually one, but nothing keeps several servers from having the same `route=`.
#[derive(Debug, Clone)]
pub struct Routes<K>(HashMap<Box<str>, Vec<K>>);

impl<K> Default for Routes<K> {
    fn default() -> Routes<K> {
        Routes(HashMap::new())
    }
}

impl<K: Copy + Eq> Routes<K> {
    /// A peer with this id is there.
    pub fn insert(&mut self, id: &str, peer: K) {
        let peers = self.0.entry(id.into()).or_default();
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }

    /// The peer is gone.
    pub fn remove(&mut self, id: &str, peer: K) {
        let Some(peers) = self.0.get_mut(id) else { return };
        peers.retain(|&other| other != peer);
        if peers.is_empty() {
            self.0.remove(id);
        }
    }

    /// The peers with the id that a client asks for, in the order of the file.
    pub fn find(&self, id: &[u8]) -> &[K] {
        let peers = std::str::from_utf8(id).ok().and_then(|id| self.0.get(id));
        peers.map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable;

    #[test]
    fn an_id_is_the_route_or_what_nginx_makes_of_the_address() {
        assert_eq!(&*server_id("127.0.0.1:8080", Some("a")), "a");
        // printf 127.0.0.1:8080 | md5sum
        assert_eq!(&*server_id("127.0.0.1:8080", None), "5958c386bf5e9109ac10d2a628645aea");
        assert_eq!(server_id("unix:/tmp/a", Some("")).len(), 32);
    }

    #[test]
    fn peers_are_found_by_their_id() {
        let mut routes = Routes::default();
        routes.insert("a", 1);
        routes.insert("b", 2);
        routes.insert("b", 3);
        routes.insert("b", 3);
        assert_eq!(routes.find(b"b"), [2, 3]);
        routes.remove("b", 2);
        assert_eq!(routes.find(b"b"), [3]);
        routes.remove("b", 3);
        routes.remove("b", 3);
        assert!(routes.find(b"b").is_empty());
        assert!(routes.find(b"\xff").is_empty());
        assert_eq!(routes.find(b"a"), [1]);
    }

    #[test]
    fn the_first_variable_with_a_value_counts() {
        let template =
            |name: &str| Template::parse(name, |name| variable::builtin(name).expect("known")).expect("good");
        let templates = [template("$cookie_a"), template("$arg_a")];
        let given = |cookie: &'static str, argument: &'static str| {
            first_value(&templates, |variable, out| match variable {
                Variable::Member(variable::Family::Cookie, _) => out.extend_from_slice(cookie.as_bytes()),
                _ => out.extend_from_slice(argument.as_bytes()),
            })
        };
        assert_eq!(given("x", "y"), Some(b"x".to_vec()));
        assert_eq!(given("", "y"), Some(b"y".to_vec()));
        assert_eq!(given("", ""), None);
    }
}
