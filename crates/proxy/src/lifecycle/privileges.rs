//! What a start as root gives up, and what the main thread keeps for reloads.
//!
//! Once the sockets are bound the whole process becomes `user`. A reload may need to bind a port below 1024, and a log
//! reopening to write where only root may; for these two the main thread, which never touches traffic, keeps two
//! capabilities *permitted* and raises them only for the moment of a reload or a reopening. Worker threads, which do touch
//! traffic, have none.

use caps::{CapSet, Capability};
use culvert_conf::config::User;
use nix::unistd::{Gid, Group, Uid, User as Account, initgroups, setgid, setuid};
use std::ffi::CString;

/// Binding privileged ports; opening logs, certificates and configuration files wherever they are.
const KEPT: [Capability; 2] = [Capability::CAP_NET_BIND_SERVICE, Capability::CAP_DAC_OVERRIDE];

/// nginx's account where the configuration names none.
const DEFAULT_ACCOUNT: &str = "nobody";

/// Whether the process was started as root.
pub(super) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `user`, or nobody. The error is nginx's message. Call on the main thread before any other thread exists.
pub(super) fn drop_to(user: Option<&User>) -> Result<(), String> {
    let (uid, gid, name) = account(user)?;
    if uid.is_root() {
        return Ok(());
    }
    let failed = |call: &str, error: nix::Error| format!("[emerg] {call} failed ({}: {})", error as i32, error.desc());
    nix::sys::prctl::set_keepcaps(true).map_err(|error| failed("prctl(PR_SET_KEEPCAPS)", error))?;
    let c_name = CString::new(name.as_str()).map_err(|_| format!("[emerg] invalid user name \"{name}\""))?;
    setgid(gid).map_err(|error| failed(&format!("setgid({gid})"), error))?;
    initgroups(&c_name, gid).map_err(|error| failed(&format!("initgroups({name}, {gid})"), error))?;
    setuid(uid).map_err(|error| failed(&format!("setuid({uid})"), error))?;
    let lowered = caps::read(None, CapSet::Permitted).and_then(|held| {
        let kept = KEPT.into_iter().filter(|capability| held.contains(capability)).collect();
        caps::set(None, CapSet::Permitted, &kept)
    });
    lowered.map_err(|error| format!("[emerg] capset() failed ({error})"))
}

/// Whether `user` exists. The error is nginx's message.
pub(super) fn check(user: Option<&User>) -> Result<(), String> {
    user.map_or(Ok(()), |user| account(Some(user)).map(|_| ()))
}

/// The numbers of `user` and its group.
pub(super) fn ids(user: Option<&User>) -> Result<(u32, u32), String> {
    account(user).map(|(uid, gid, _)| (uid.as_raw(), gid.as_raw()))
}

fn account(user: Option<&User>) -> Result<(Uid, Gid, String), String> {
    let name = user.map_or(DEFAULT_ACCOUNT, |user| &user.name);
    let place = user.map(|user| format!(" in {}", user.place)).unwrap_or_default();
    let found = Account::from_name(name).ok().flatten();
    let account = found.ok_or_else(|| format!("[emerg] getpwnam(\"{name}\") failed{place}"))?;
    let gid = match user.map(|user| &user.group).filter(|group| *group != name) {
        Some(group) => {
            let found = Group::from_name(group).ok().flatten();
            found.ok_or_else(|| format!("[emerg] getgrnam(\"{group}\") failed{place}"))?.gid
        }
        None => Group::from_name(name).ok().flatten().map_or(account.gid, |group| group.gid),
    };
    Ok((account.uid, gid, name.into()))
}

/// Runs `act` on the main thread with the kept capabilities raised.
pub(crate) fn raised<T>(act: impl FnOnce() -> T) -> T {
    // Without a drop to another user nothing was given up, and there is nothing to raise or lower.
    if is_root() {
        return act();
    }
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let _ = caps::set(None, CapSet::Effective, &permitted);
    let result = act();
    let _ = caps::clear(None, CapSet::Effective);
    result
}

/// Gives up every capability of the calling worker thread.
pub(super) fn give_up() {
    if is_root() {
        return;
    }
    let _ = caps::clear(None, CapSet::Effective);
    let _ = caps::clear(None, CapSet::Permitted);
}
