use super::*;
use proptest::prelude::*;

/// A location as a configuration has it, with the locations inside.
#[derive(Debug, Clone)]
struct Block {
    kind: Kind,
    redirects: bool,
    inside: Vec<Block>,
}

#[derive(Debug, Clone)]
enum Kind {
    Exact(String),
    Prefix(String),
    PrefixStopsRegex(String),
    Regex(String),
}

/// Reads `=/a`, `^~/a`, `~a` or `/a`; a `!` at the end asks for the redirect.
fn block(text: &str, inside: &[Block]) -> Block {
    let (text, redirects) = text.strip_suffix('!').map_or((text, false), |text| (text, true));
    let kind = match text {
        _ if text.starts_with('=') => Kind::Exact(text[1..].into()),
        _ if text.starts_with("^~") => Kind::PrefixStopsRegex(text[2..].into()),
        _ if text.starts_with('~') => Kind::Regex(text[1..].into()),
        _ => Kind::Prefix(text.into()),
    };
    Block { kind, redirects, inside: inside.to_vec() }
}

/// Builds the tree; ids are given in the order of the text, a location before those inside it.
fn build(blocks: &[Block], next: &mut usize) -> Result<LocationTree, Duplicate> {
    let mut tree = LocationTree::default();
    for block in blocks {
        let id = *next;
        *next += 1;
        match &block.kind {
            Kind::Exact(name) => tree.add_exact(name, id),
            Kind::Prefix(name) => tree.add_prefix(name, id, false),
            Kind::PrefixStopsRegex(name) => tree.add_prefix(name, id, true),
            Kind::Regex(source) => tree.add_regex(Pattern::new(source, false).expect("a good pattern"), id),
        }?;
        let inside = build(&block.inside, next)?;
        tree.nest(id, inside);
        if let (true, Kind::Exact(name) | Kind::Prefix(name) | Kind::PrefixStopsRegex(name)) =
            (block.redirects, &block.kind)
        {
            tree.auto_redirect(name, id);
        }
    }
    Ok(tree)
}

fn tree(blocks: &[Block]) -> LocationTree {
    build(blocks, &mut 0).expect("no duplicates")
}

/// The choice in short: `-`, the id, or the id and a slash.
fn find(tree: &LocationTree, uri: &str) -> String {
    match tree.find(uri.as_bytes()).expect("fast") {
        Choice::Server => "-".into(),
        Choice::Location { id, .. } => id.to_string(),
        Choice::AddSlash { id } => format!("{id}/"),
    }
}

fn check(blocks: &[Block], cases: &[(&str, &str)]) {
    let tree = tree(blocks);
    for (uri, expected) in cases {
        assert_eq!(find(&tree, uri), *expected, "{uri}");
    }
}

fn flat(names: &[&str]) -> Vec<Block> {
    names.iter().map(|name| block(name, &[])).collect()
}

#[test]
fn the_example_of_the_documentation_comes_out() {
    let blocks = flat(&["=/", "/", "/documents/", "^~/images/", r"~\.(gif|jpg|jpeg)$"]);
    check(
        &blocks,
        &[
            ("/", "0"),
            ("/index.html", "1"),
            ("/documents/document.html", "2"),
            ("/images/1.gif", "3"),
            ("/documents/1.jpg", "4"),
        ],
    );
}

#[test]
fn without_a_location_the_server_answers() {
    check(&[], &[("/", "-")]);
    check(&flat(&["/a", "=/b"]), &[("/", "-"), ("/b/", "-"), ("/ab", "0")]);
}

#[test]
fn the_longest_prefix_wins_whatever_stands_between() {
    let blocks = flat(&["/", "/a", "/ab0", "/ab1", "/abc/d", "=/abc", "/abz"]);
    check(
        &blocks,
        &[("/abc", "5"), ("/abcd", "1"), ("/abc/dd", "4"), ("/ab1x", "3"), ("/aby", "1"), ("/zz", "0"), ("/ab", "1")],
    );
}

#[test]
fn the_first_pattern_wins_and_its_captures_are_kept() {
    let tree = tree(&flat(&["/", r"~^/u/(\w+)", r"~^/u"]));
    let Choice::Location { id, matches } = tree.find(b"/u/anna").expect("fast") else { panic!("a location") };
    assert_eq!(id, 1);
    assert_eq!(matches[0].1.get(1), Some(&b"anna"[..]));
    assert_eq!(find(&tree, "/u"), "2");
}

#[test]
fn a_pattern_outside_beats_a_prefix_inside_but_not_a_pattern_inside() {
    let blocks = [block("/a", &flat(&["/a/b", "~inner"])), block("~x", &[])];
    check(&blocks, &[("/a/b", "1"), ("/a/b/x", "3"), ("/a/b/inner/x", "2"), ("/a", "0"), ("/c", "-")]);
}

#[test]
fn stopping_patterns_holds_for_the_patterns_beside_only() {
    let inside = flat(&["^~/a/b", "~inner"]);
    let blocks = [block("/a", &inside), block("^~/c", &flat(&["/c/d", "~inner"])), block("~x", &[])];
    check(
        &blocks,
        &[("/a/b/inner", "1"), ("/a/b/x", "6"), ("/a/inner", "2"), ("/c/x", "3"), ("/c/d/x", "4"), ("/c/inner", "5")],
    );
}

#[test]
fn an_exact_name_inside_is_final() {
    let blocks = [block("/a", &flat(&["=/a/b"])), block("~b", &[])];
    check(&blocks, &[("/a/b", "1"), ("/a/bb", "2"), ("/a/c", "0")]);
}

#[test]
fn a_pattern_is_searched_inside_and_keeps_its_captures() {
    let tree = tree(&[block("~^/(a+)", &flat(&["/a/b", "~^/a/(c)"]))]);
    let choose = |uri: &str| match tree.find(uri.as_bytes()).expect("fast") {
        Choice::Location { id, matches } => {
            (id, matches.last().and_then(|(_, captures)| captures.get(1).map(<[u8]>::to_vec)))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(choose("/aa"), (0, Some(b"aa".to_vec())));
    assert_eq!(choose("/a/bb"), (1, Some(b"a".to_vec())));
    assert_eq!(choose("/a/c"), (2, Some(b"c".to_vec())));
}

#[test]
fn a_name_that_lacks_its_last_slash_is_redirected_where_asked() {
    let blocks = flat(&["/", "/a/!", "/b/", "/c/!", "=/c", "=/d/!", "/e!", "~.", "/f/!", "=/f/"]);
    check(
        &blocks,
        &[("/a", "1/"), ("/a/", "7"), ("/b", "7"), ("/c", "4"), ("/d", "5/"), ("/d/", "5"), ("/e", "7"), ("/f", "9/")],
    );
}

#[test]
fn a_redirect_inside_a_prefix_is_made_and_inside_a_pattern_it_is_not() {
    let blocks = [block("/a", &flat(&["/a/b/!"])), block("~^/c", &flat(&["/c/d/!"]))];
    check(&blocks, &[("/a/b", "1/"), ("/c/d", "3")]);
}

#[test]
fn a_name_can_be_taken_once_as_a_prefix_and_once_exactly() {
    let mut tree = LocationTree::default();
    tree.add_prefix("/a", 0, false).expect("new");
    tree.add_exact("/a", 1).expect("new");
    let again = tree.add_prefix("/a", 2, true).expect_err("taken");
    assert_eq!(again.to_string(), "duplicate location \"/a\"");
    assert_eq!(tree.add_exact("/a", 2), Err(Duplicate("/a".into())));
}

#[test]
fn named_locations_are_found_by_name_alone() {
    let mut tree = LocationTree::default();
    tree.add_named("@fallback", 3).expect("new");
    assert_eq!(tree.named("@fallback"), Some(3));
    assert_eq!(tree.named("@other"), None);
    assert_eq!(tree.add_named("@fallback", 4), Err(Duplicate("@fallback".into())));
    assert_eq!(find(&tree, "@fallback"), "-");
}

#[test]
fn a_thousand_locations_are_told_apart() {
    let names: Vec<String> = (0..1000).map(|number| format!("/{number}/")).collect();
    let tree = tree(&names.iter().map(|name| block(name, &[])).collect::<Vec<_>>());
    for (id, name) in names.iter().enumerate() {
        assert_eq!(find(&tree, &format!("{name}x")), id.to_string());
    }
}

/// What became of a search that asked every location: its short form, and whether it is final.
fn naive(blocks: &[Block], first: usize, uri: &str) -> (String, bool) {
    let mut ids = Vec::new();
    let mut next = first;
    for block in blocks {
        ids.push(next);
        next += 1 + count(&block.inside);
    }
    let all = || blocks.iter().zip(ids.iter().copied());
    if let Some((_, id)) = all().find(|(block, _)| matches!(&block.kind, Kind::Exact(name) if name == uri)) {
        return (id.to_string(), true);
    }
    let name_of = |block: &Block| match &block.kind {
        Kind::Prefix(name) | Kind::PrefixStopsRegex(name) => Some(name.clone()),
        _ => None,
    };
    let is_whole = all().any(|(block, _)| name_of(block).is_some_and(|name| name == uri));
    let with_slash = format!("{uri}/");
    let mut slashed = all().filter(|(block, _)| match &block.kind {
        Kind::Exact(name) | Kind::Prefix(name) | Kind::PrefixStopsRegex(name) => *name == with_slash,
        Kind::Regex(_) => false,
    });
    if !is_whole && slashed.clone().any(|(block, _)| block.redirects) {
        let exact = slashed.clone().find(|(block, _)| matches!(block.kind, Kind::Exact(_)));
        let (_, id) = exact.or_else(|| slashed.next()).expect("one that redirects");
        return (format!("{id}/"), true);
    }
    let longest = all()
        .filter(|(block, _)| name_of(block).is_some_and(|name| uri.starts_with(&name)))
        .max_by_key(|(block, _)| name_of(block).map_or(0, |name| name.len()));
    let mut result = ("-".to_owned(), false);
    let mut stops = false;
    if let Some((block, id)) = longest {
        stops = matches!(block.kind, Kind::PrefixStopsRegex(_));
        result = naive(&block.inside, id + 1, uri);
        if result.0 == "-" {
            result.0 = id.to_string();
        }
    }
    if result.1 || stops {
        return result;
    }
    let pattern = all().find(|(block, _)| match &block.kind {
        Kind::Regex(source) => Pattern::new(source, false).expect("good").is_match(uri.as_bytes()).expect("fast"),
        _ => false,
    });
    match pattern {
        None => result,
        Some((block, id)) => match naive(&block.inside, id + 1, uri).0.trim_end_matches('/') {
            "-" => (id.to_string(), true),
            inside => (inside.to_owned(), true),
        },
    }
}

fn count(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| 1 + count(&block.inside)).sum()
}

fn any_blocks() -> impl Strategy<Value = Vec<Block>> {
    let name = r"(=|\^~|)(/[ab]{0,2}){1,3}/?!?|~[ab/]{1,2}";
    let leaf = name.prop_map(|text: String| block(&text, &[]));
    let nested = leaf.prop_recursive(2, 24, 6, move |inner| {
        (name, prop::collection::vec(inner, 0..6)).prop_map(|(text, inside)| block(&text, &inside))
    });
    prop::collection::vec(nested, 0..12)
}

proptest! {
    #[test]
    fn the_tree_chooses_what_asking_every_location_chooses(
        blocks in any_blocks(),
        uris in prop::collection::vec("(/[ab]{0,2}){1,4}", 1..20),
    ) {
        if let Ok(tree) = build(&blocks, &mut 0) {
            for uri in uris {
                prop_assert_eq!(find(&tree, &uri), naive(&blocks, 0, &uri).0, "{}", uri);
            }
        }
    }
}
