//! Host names and masks of host names, as `server_name` and `map … hostnames` share them.
//!
//! A mask is found by hashing the few suffixes (or prefixes) of the name that end at a dot and are no longer than the
//! longest mask, so that neither the number of masks nor a hostile name costs more than a handful of look-ups.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};

/// Values by host name: exact names, `*.example.com`, `.example.com` and `example.*`.
#[derive(Clone)]
pub(crate) struct HostTable<V> {
    exact: HashMap<Box<[u8]>, V>,
    heads: Masks<Head<V>>,
    tails: Masks<V>,
}

/// A mask with its star in front.
#[derive(Clone)]
struct Head<V> {
    value: V,
    /// Whether the bare domain matches too: `.example.com`, not `*.example.com`.
    covers_domain: bool,
}

/// Masks by the text that is left without star and dot.
#[derive(Clone)]
struct Masks<V> {
    by_text: HashMap<Box<[u8]>, V>,
    longest: usize,
}

/// Why a key cannot join a [`HostTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKeyError {
    /// The name or mask is there already, under any spelling.
    Conflicting,
    /// Neither a name nor one of the masks.
    Invalid,
}

impl<V: Debug> Debug for HostTable<V> {
    /// The names as they are written, in their order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let exact = self.exact.iter().map(|(name, value)| (text(name), value));
        let heads = self.heads.by_text.iter().map(|(name, head)| {
            let star = if head.covers_domain { "." } else { "*." };
            (format!("{star}{}", text(name)), &head.value)
        });
        let tails = self.tails.by_text.iter().map(|(name, value)| (format!("{}.*", text(name)), value));
        f.debug_map().entries(exact.chain(heads).chain(tails).collect::<BTreeMap<_, _>>()).finish()
    }
}

impl<V> Default for HostTable<V> {
    fn default() -> HostTable<V> {
        HostTable { exact: HashMap::new(), heads: Masks::default(), tails: Masks::default() }
    }
}

impl<V> Default for Masks<V> {
    fn default() -> Masks<V> {
        Masks { by_text: HashMap::new(), longest: 0 }
    }
}

impl<V> Masks<V> {
    fn insert(&mut self, text: &[u8], value: V) {
        self.longest = self.longest.max(text.len());
        self.by_text.insert(text.into(), value);
    }

    fn get(&self, text: &[u8]) -> Option<&V> {
        self.by_text.get(text)
    }
}

impl<V> HostTable<V> {
    /// Adds a name or a mask. Conflicts are nginx's: `.example.com` stands for the name and for the mask `*.example.com`.
    pub(crate) fn insert(&mut self, key: &str, value: V) -> Result<(), HostKeyError> {
        let key = key.to_ascii_lowercase();
        match Mask::of(key.as_bytes())? {
            Mask::Exact(name) => {
                if self.exact.contains_key(name) || self.heads.get(name).is_some_and(|head| head.covers_domain) {
                    return Err(HostKeyError::Conflicting);
                }
                self.exact.insert(name.into(), value);
            }
            Mask::Head { domain, covers_domain } => {
                if self.heads.get(domain).is_some() || (covers_domain && self.exact.contains_key(domain)) {
                    return Err(HostKeyError::Conflicting);
                }
                self.heads.insert(domain, Head { value, covers_domain });
            }
            Mask::Tail(stem) => {
                if self.tails.get(stem).is_some() {
                    return Err(HostKeyError::Conflicting);
                }
                self.tails.insert(stem, value);
            }
        }
        Ok(())
    }

    /// Finds a lower-case name: exactly, else by the longest mask with its star in front, else by the longest with its star
    /// at the end.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&V> {
        self.exact.get(name).or_else(|| self.find_head(name)).or_else(|| self.find_tail(name))
    }

    fn find_head(&self, name: &[u8]) -> Option<&V> {
        if self.heads.by_text.is_empty() {
            return None;
        }
        if name.len() <= self.heads.longest
            && let Some(head) = self.heads.get(name)
            && head.covers_domain
        {
            return Some(&head.value);
        }
        // A domain that is too long to be a mask is skipped, and the longest that is not comes first.
        let first = name.len().saturating_sub(self.heads.longest + 1);
        let dots = memchr::memchr_iter(b'.', &name[first..]).map(|at| first + at);
        dots.filter_map(|dot| self.heads.get(&name[dot + 1..])).map(|head| &head.value).next()
    }

    fn find_tail(&self, name: &[u8]) -> Option<&V> {
        if self.tails.by_text.is_empty() {
            return None;
        }
        let end = name.len().min(self.tails.longest + 1);
        memchr::memrchr_iter(b'.', &name[..end]).find_map(|dot| self.tails.get(&name[..dot]))
    }
}

/// A key, told apart by where its star is.
enum Mask<'a> {
    Exact(&'a [u8]),
    Head { domain: &'a [u8], covers_domain: bool },
    Tail(&'a [u8]),
}

impl Mask<'_> {
    fn of(key: &[u8]) -> Result<Mask<'_>, HostKeyError> {
        let stars = memchr::memchr_iter(b'*', key).count();
        if stars > 1 || key.contains(&0) || memchr::memmem::find(key, b"..").is_some() {
            return Err(HostKeyError::Invalid);
        }
        match key {
            [b'.', domain @ ..] if !domain.is_empty() => Ok(Mask::Head { domain, covers_domain: true }),
            [b'*', b'.', domain @ ..] if !domain.is_empty() => Ok(Mask::Head { domain, covers_domain: false }),
            [stem @ .., b'.', b'*'] if !stem.is_empty() => Ok(Mask::Tail(stem)),
            _ if stars > 0 => Err(HostKeyError::Invalid),
            _ => Ok(Mask::Exact(key)),
        }
    }
}

/// The text in lower case (ASCII letters only), copied only where it has a letter in upper case.
pub(crate) fn lower(text: &[u8]) -> Cow<'_, [u8]> {
    match text.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}
