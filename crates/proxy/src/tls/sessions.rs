//! Sessions that clients may take up again: kept here, or by the clients themselves in tickets. All workers share both, and
//! both outlive a reload.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use rustls::server::{ProducesTickets, StoresServerSessions};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What tells a session from all others, for as long as it is taken up again: `$ssl_session_id`.
pub(crate) type SessionId = [u8; 32];

/// What sessions belong to: those of servers with other certificates or other authorities are not theirs (nginx's session id
/// context).
pub(crate) type Context = [u8; 32];

thread_local! {
    /// The session of the handshake that is at work on this thread.
    static SESSION: Cell<Option<SessionId>> = const { Cell::new(None) };
}

/// Runs a step of a handshake, which may take up the session that `session` names, or begin it.
pub(super) fn in_session<T>(session: &mut Option<SessionId>, step: impl FnOnce() -> T) -> T {
    SESSION.set(session.take());
    let result = step();
    *session = SESSION.take();
    result
}

/// The current handshake's session, which begins here unless it was taken up.
fn current_or_new() -> SessionId {
    let id = SESSION.get().unwrap_or_else(rand::random);
    SESSION.set(Some(id));
    id
}

/// Sessions kept in memory, as many as fit its bytes; the oldest make room.
pub(super) struct Store {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    order: VecDeque<Vec<u8>>,
    bytes: usize,
}

struct Session {
    id: SessionId,
    value: Vec<u8>,
    born: SystemTime,
}

/// What a session costs beside its key and value.
const SESSION_BYTES: usize = 128;

impl Store {
    pub(super) fn new(bytes_max: usize) -> Store {
        Store { bytes_max, kept: Mutex::default() }
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        // A thread that panicked has left whole sessions only.
        f(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn put(&mut self, key: Vec<u8>, session: Session, bytes_max: usize) {
        self.remove(&key);
        self.bytes += cost(&key, &session);
        self.order.push_back(key.clone());
        self.sessions.insert(key, session);
        while self.bytes > bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(&oldest);
        }
        // Keys whose sessions were taken stay in the order, until they outnumber those that are there.
        if self.order.len() > 2 * self.sessions.len() + 16 {
            self.order.retain(|key| self.sessions.contains_key(key));
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.bytes -= cost(key, &session);
        Some(session)
    }
}

fn cost(key: &[u8], session: &Session) -> usize {
    2 * key.len() + session.value.len() + SESSION_BYTES
}

/// A store as one server sees it.
pub(super) struct ServerStore {
    pub(super) store: Arc<Store>,
    pub(super) context: Context,
    pub(super) timeout: Duration,
}

impl ServerStore {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.context[..16], key].concat()
    }

    fn found(&self, session: Option<Session>) -> Option<Vec<u8>> {
        let session = session.filter(|session| is_fresh(session.born, self.timeout))?;
        SESSION.set(Some(session.id));
        Some(session.value)
    }
}

fn is_fresh(born: SystemTime, timeout: Duration) -> bool {
    SystemTime::now().duration_since(born).is_ok_and(|age| age <= timeout)
}

impl fmt::Debug for ServerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerStore").finish_non_exhaustive()
    }
}

impl StoresServerSessions for ServerStore {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let session = Session { id: current_or_new(), value, born: SystemTime::now() };
        self.store.with(|kept| kept.put(self.key(&key), session, self.store.bytes_max));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(key);
        let session = self.store.with(|kept| {
            let session = kept.sessions.get(&key)?;
            Some(Session { id: session.id, value: session.value.clone(), born: session.born })
        });
        self.found(session)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.store.with(|kept| kept.remove(&self.key(key)));
        self.found(session)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Keys that tickets are encrypted with.
pub(super) struct TicketKeys {
    /// The first one encrypts.
    keys: Mutex<VecDeque<Arc<TicketKey>>>,
    /// For how long a random key encrypts, and for how long it decrypts after that; `None`: the keys came from files.
    rotation: Option<(Duration, Duration)>,
}

struct TicketKey {
    name: [u8; 16],
    key: RandomizedNonceKey,
    born: SystemTime,
}

/// For how long a random key encrypts.
const ROTATION: Duration = Duration::from_secs(3600);

impl TicketKeys {
    /// Random keys, whose tickets are good for `timeout`.
    pub(super) fn random(timeout: Duration) -> TicketKeys {
        TicketKeys { keys: Mutex::default(), rotation: Some((ROTATION, timeout)) }
    }

    /// Keys from the contents of `ssl_session_ticket_key` files.
    pub(super) fn fixed(files: &[Vec<u8>]) -> TicketKeys {
        let key = |bytes: &Vec<u8>| {
            let mut name = [0; 16];
            name.copy_from_slice(&bytes[..16]);
            // Files are 48 or 80 bytes long; the key is as long as the cipher wants it, made of all of them.
            let secret = digest::digest(&digest::SHA256, bytes);
            Arc::new(TicketKey { name, key: cipher(secret.as_ref()), born: SystemTime::now() })
        };
        TicketKeys { keys: Mutex::new(files.iter().map(key).collect()), rotation: None }
    }

    fn encrypting(&self) -> Option<Arc<TicketKey>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((encrypts, decrypts)) = self.rotation
            && keys.front().is_none_or(|key| !is_fresh(key.born, encrypts))
        {
            let secret: [u8; 32] = rand::random();
            let key = TicketKey { name: rand::random(), key: cipher(&secret), born: SystemTime::now() };
            keys.push_front(Arc::new(key));
            keys.retain(|key| is_fresh(key.born, encrypts + decrypts));
        }
        keys.front().cloned()
    }

    fn named(&self, name: &[u8]) -> Option<Arc<TicketKey>> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|key| key.name == name).cloned()
    }
}

fn cipher(secret: &[u8]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, secret).expect("the secret is as long as the cipher's key")
}

/// Tickets as one server makes them: `name || nonce || encrypted(session id || time || rustls' session)`.
pub(super) struct Tickets {
    pub(super) keys: Arc<TicketKeys>,
    pub(super) context: Context,
    pub(super) timeout: Duration,
}

const NAME: usize = 16;
const NONCE: usize = 12;
/// The session's number and when the ticket was made, in seconds.
const PREFIX: usize = 32 + 8;

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.encrypting()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let mut sealed = [&current_or_new()[..], &now.to_be_bytes(), plain].concat();
        let nonce = key.key.seal_in_place_append_tag(Aad::from(self.context), &mut sealed).ok()?;
        Some([&key.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain =
            self.keys.named(name)?.key.open_in_place(nonce, Aad::from(self.context), &mut sealed).ok()?.to_vec();
        let (prefix, session) = plain.split_at_checked(PREFIX)?;
        let (id, made) = prefix.split_at(32);
        let made = Duration::from_secs(u64::from_be_bytes(made.try_into().ok()?));
        if !is_fresh(SystemTime::UNIX_EPOCH.checked_add(made)?, self.timeout) {
            return None;
        }
        SESSION.set(Some(id.try_into().ok()?));
        Some(session.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &Arc<TicketKeys>, context: u8) -> Tickets {
        Tickets { keys: keys.clone(), context: [context; 32], timeout: Duration::from_secs(300) }
    }

    #[test]
    fn a_ticket_is_good_for_the_context_that_made_it_and_names_the_same_session_again() {
        let keys = Arc::new(TicketKeys::random(Duration::from_secs(300)));
        let (mut first, mut again) = (None, None);
        let ticket = in_session(&mut first, || tickets(&keys, 1).encrypt(b"session")).expect("a ticket");
        assert_eq!(in_session(&mut again, || tickets(&keys, 1).decrypt(&ticket)).as_deref(), Some(&b"session"[..]));
        assert!(first.is_some() && first == again);
        assert_eq!(tickets(&keys, 2).decrypt(&ticket), None);
        assert_eq!(tickets(&Arc::new(TicketKeys::random(Duration::ZERO)), 1).decrypt(&ticket), None);
        for length in 0..ticket.len() {
            assert_eq!(tickets(&keys, 1).decrypt(&ticket[..length]), None);
        }
    }

    #[test]
    fn every_file_decrypts_and_the_first_one_encrypts() {
        let (old, new) = (vec![1; 48], vec![2; 80]);
        let before = Arc::new(TicketKeys::fixed(std::slice::from_ref(&old)));
        let after = Arc::new(TicketKeys::fixed(&[new.clone(), old]));
        let ticket = tickets(&before, 1).encrypt(b"session").expect("a ticket");
        assert_eq!(tickets(&after, 1).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(&after, 1).encrypt(b"session").expect("a ticket")[..16], new[..16]);
    }

    #[test]
    fn a_store_keeps_what_fits_and_forgets_the_oldest() {
        let store = Arc::new(Store::new(10 * (SESSION_BYTES + 2 * (16 + 1) + 10)));
        let server = ServerStore { store: store.clone(), context: [0; 32], timeout: Duration::from_secs(300) };
        for nth in 0..100 {
            assert!(server.put(vec![nth], vec![nth; 10]));
        }
        let kept: Vec<u8> = (0..100).filter(|&nth| server.get(&[nth]).is_some()).collect();
        assert_eq!(kept, (90..100).collect::<Vec<_>>());
        assert_eq!(server.take(&[95]), Some(vec![95; 10]));
        assert_eq!(server.take(&[95]), None);
        let other = ServerStore { store, context: [1; 32], timeout: Duration::from_secs(300) };
        assert_eq!(other.get(&[96]), None);
    }
}
