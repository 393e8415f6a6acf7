//! `auth_basic`: a name and a password (RFC 7617), and a file of hashes.
//!
//! Most hashes are slow on purpose, so they are computed beside the worker, a few at a time, and what was found to match is
//! remembered: as a keyed digest of name, password and hash, so that neither memory nor time gives a password away, and a
//! changed file is a changed digest.

use super::Opinion;
use crate::exchange::Exchange;
use crate::observe::error_log::os_error;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use culvert_conf::config::{AccessSettings, Level};
use culvert_engine::access::{Verdict, hash_of, is_slow, verify};
use culvert_engine::http1::Headers;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

/// Name and password of a request.
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// Whether the request has a name and a password that the file knows.
pub(super) async fn ask(exchange: &mut Exchange, access: &AccessSettings) -> Opinion {
    let (Some(realm), Some(file)) = (&access.realm, &access.user_file) else { return Opinion::None };
    let realm = exchange.render(realm);
    if realm == b"off" {
        return Opinion::None;
    }
    let Some(credentials) = credentials(&exchange.request.head.headers) else {
        exchange.log(Level::Info, "no user/password was provided for basic authentication");
        return challenge(exchange, &realm);
    };
    let path = exchange.render(file);
    let shown = String::from_utf8_lossy(&path).into_owned();
    let hash = match hash_in(Path::new(&shown), &credentials.user) {
        Ok(hash) => hash,
        Err((call, error)) => return unreadable(exchange, call, &shown, &error),
    };
    let user = String::from_utf8_lossy(&credentials.user).into_owned();
    let Some(hash) = hash else {
        exchange.log(Level::Error, format_args!("user \"{user}\" was not found in \"{shown}\""));
        return challenge(exchange, &realm);
    };
    match check(credentials, hash).await {
        Verdict::Match => Opinion::Pass,
        Verdict::Mismatch => {
            exchange.log(Level::Error, format_args!("user \"{user}\": password mismatch"));
            challenge(exchange, &realm)
        }
        Verdict::Unknown => {
            exchange.log(
                Level::Error,
                format_args!("user \"{user}\": the password's hash in \"{shown}\" is of a kind that is not supported"),
            );
            challenge(exchange, &realm)
        }
    }
}

fn challenge(exchange: &mut Exchange, realm: &[u8]) -> Opinion {
    exchange.ledger.challenge = Some([b"Basic realm=\"", realm, b"\""].concat());
    Opinion::Refuse(401)
}

/// A file that can't be read lets nobody pass. One that is not there is rather a secret place than a mistake.
fn unreadable(exchange: &Exchange, call: &str, path: &str, error: &io::Error) -> Opinion {
    let (level, status) = match error.kind() {
        io::ErrorKind::NotFound => (Level::Error, 403),
        _ => (Level::Crit, 500),
    };
    exchange.log(level, format_args!("{call}() \"{path}\" failed ({})", os_error(error)));
    Opinion::Refuse(status)
}

/// The signs at a token's end may be missing, as in nginx.
const TOKEN: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What `Authorization: Basic` says; `None` for anything that can't be read as a name and a password.
fn credentials(headers: &Headers) -> Option<Credentials> {
    let value = headers.first("authorization")?;
    let (scheme, token) = value.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then_some(())?;
    let decoded = TOKEN.decode(token.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|&b| b == b':').filter(|&colon| colon > 0)?;
    Some(Credentials { user: decoded[..colon].into(), password: decoded[colon + 1..].into() })
}

/// What tells one state of a file from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// So many files are remembered by each worker; their names may come from variables.
const FILES_MAX: usize = 16;

/// A file that changed less than this ago may change again without a trace, so it is not remembered yet.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Files as they were at their stamps.
type Files = HashMap<PathBuf, (Stamp, Box<[u8]>)>;

thread_local! {
    static FILES: RefCell<Files> = RefCell::default();
    static VERIFIED: RefCell<HashSet<[u8; 32]>> = RefCell::default();
}

/// The hash of a user; the error comes with the call that failed.
fn hash_in(path: &Path, user: &[u8]) -> Result<Option<Vec<u8>>, (&'static str, io::Error)> {
    let open = |error| ("open", error);
    let stamp = Stamp::of(&std::fs::metadata(path).map_err(open)?);
    let known = FILES.with_borrow(|files| {
        let (_, bytes) = files.get(path).filter(|(known, _)| *known == stamp)?;
        Some(hash_of(bytes, user).map(<[u8]>::to_vec))
    });
    if let Some(found) = known {
        return Ok(found);
    }
    let mut file = File::open(path).map_err(open)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| ("pread", error))?;
    let metadata = file.metadata().map_err(|error| ("pread", error))?;
    let found = hash_of(&bytes, user).map(<[u8]>::to_vec);
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    if age.is_some_and(|age| age > SETTLED_AFTER) {
        FILES.with_borrow_mut(|files| {
            if files.len() >= FILES_MAX {
                files.clear();
            }
            files.insert(path.into(), (Stamp::of(&metadata), bytes.into()));
        });
    }
    Ok(found)
}

/// How many passwords that were right are remembered by each worker.
const VERIFIED_MAX: usize = 1024;

static DIGEST_KEY: LazyLock<Option<hmac::Key>> =
    LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok());

/// How many slow hashes are computed at the same time: half of the machine is left for what is being served.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new(cores.div_ceil(2))
});

async fn check(credentials: Credentials, hash: Vec<u8>) -> Verdict {
    if !is_slow(&hash) {
        return verify(&credentials.password, &hash);
    }
    let digest = digest(&credentials, &hash);
    if digest.is_some_and(|digest| VERIFIED.with_borrow(|verified| verified.contains(&digest))) {
        return Verdict::Match;
    }
    let Ok(_turn) = HASHING.acquire().await else { return Verdict::Mismatch };
    let verdict = tokio::task::spawn_blocking(move || verify(&credentials.password, &hash)).await;
    let verdict = verdict.unwrap_or(Verdict::Mismatch);
    if let Some(digest) = digest.filter(|_| verdict == Verdict::Match) {
        VERIFIED.with_borrow_mut(|verified| {
            if verified.len() >= VERIFIED_MAX {
                verified.clear();
            }
            verified.insert(digest);
        });
    }
    verdict
}

fn digest(credentials: &Credentials, hash: &[u8]) -> Option<[u8; 32]> {
    let mut context = hmac::Context::with_key(DIGEST_KEY.as_ref()?);
    for part in [&credentials.user, &credentials.password, hash] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.sign().as_ref().try_into().ok()
}
