//! Which file stands for a folder: `index` and `random_index`.

use super::open::{Kind, OpenError};
use super::{DiskPath, classify, disk_path, open, refuse};
use crate::exchange::route::internal;
use crate::exchange::{Exchange, Next};
use crate::observe::error_log::os_error;
use culvert_conf::config::{Level, RootKind};
use nix::errno::Errno;
use std::os::unix::ffi::OsStrExt;

/// `index`: an internal redirect to the first file that is there. `None` where none is, but the folder.
pub(super) fn find(exchange: &mut Exchange) -> Option<Next> {
    let mut folder_is_there = false;
    let mut folder = None;
    for index in exchange.location.files.index.clone().iter() {
        let name = exchange.render(index);
        if name.starts_with(b"/") {
            return Some(internal::to_path(exchange, &name));
        }
        if folder.is_none() {
            folder = disk_path(exchange);
        }
        let Some(folder) = &folder else { return Some(Next::Status(500)) };
        let file = folder.with(&name);
        match open(exchange, &file) {
            Ok(_) => return Some(go_to(exchange, &file, &name)),
            Err(failed) => {
                if let Some(next) = consider(exchange, folder, &file, &failed, &mut folder_is_there) {
                    return Some(next);
                }
            }
        }
    }
    None
}

fn go_to(exchange: &mut Exchange, file: &DiskPath, name: &[u8]) -> Next {
    let uri = match exchange.location.files.root.kind {
        RootKind::Root => file.behind_root().to_vec(),
        _ => [&exchange.request.uri, name].concat(),
    };
    internal::to_path(exchange, &uri)
}

/// What it means that an index file could not be opened; `None` if the next one is to be tried.
fn consider(
    exchange: &Exchange,
    folder: &DiskPath,
    file: &DiskPath,
    failed: &OpenError,
    folder_is_there: &mut bool,
) -> Option<Next> {
    let errno = failed.error.raw_os_error().map(Errno::from_raw);
    match errno {
        Some(Errno::EMLINK | Errno::ELOOP) => return Some(Next::Status(403)),
        Some(Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::EACCES) => {
            return Some(complain(exchange, file, &failed.error));
        }
        _ => {}
    }
    if !*folder_is_there && let Some(next) = look_at_folder(exchange, folder, file) {
        return Some(next);
    }
    *folder_is_there = true;
    if errno == Some(Errno::ENOENT) || failed.error.kind() == std::io::ErrorKind::InvalidInput {
        return None;
    }
    let answer = os_error(&failed.error);
    exchange.log(Level::Crit, format_args!("{} \"{file}\" failed ({answer})", failed.call));
    Some(Next::Status(500))
}

/// A folder that is not there is 404, whatever `autoindex` might say of it. `None` if it is there.
fn look_at_folder(exchange: &Exchange, folder: &DiskPath, file: &DiskPath) -> Option<Next> {
    let failed = match open(exchange, &folder.folder()) {
        Ok(opened) if opened.kind == Kind::Folder => return None,
        Ok(_) => {
            exchange.log(Level::Alert, format_args!("\"{}\" is not a directory", folder.folder()));
            return Some(Next::Status(500));
        }
        Err(failed) => failed,
    };
    match failed.error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMLINK | Errno::ELOOP) => Some(Next::Status(403)),
        Some(Errno::ENOENT) => Some(complain(exchange, file, &failed.error)),
        // It may be searched though not read: the index file was looked for in it.
        Some(Errno::EACCES) => None,
        _ => {
            let answer = os_error(&failed.error);
            exchange.log(Level::Crit, format_args!("{} \"{}\" failed ({answer})", failed.call, folder.folder()));
            Some(Next::Status(500))
        }
    }
}

fn complain(exchange: &Exchange, file: &DiskPath, error: &std::io::Error) -> Next {
    if classify(error).1 == 403 {
        exchange.log(Level::Error, format_args!("\"{file}\" is forbidden ({})", os_error(error)));
        return Next::Status(403);
    }
    if exchange.location.log_not_found {
        exchange.log(Level::Error, format_args!("\"{file}\" is not found ({})", os_error(error)));
    }
    Next::Status(404)
}

/// `random_index`: an internal redirect to any file of the folder. `None` where it is off, or the folder has no files.
pub(super) fn random(exchange: &mut Exchange) -> Option<Next> {
    if !exchange.location.files.random_index {
        return None;
    }
    let Some(path) = disk_path(exchange) else { return Some(Next::Status(500)) };
    let folder = path.folder();
    let entries = match std::fs::read_dir(folder.as_path()) {
        Ok(entries) => entries,
        Err(error) => return Some(refuse(exchange, "opendir()", &folder, &error)),
    };
    let visible = entries.flatten().filter(|entry| !entry.file_name().as_bytes().starts_with(b"."));
    let files = visible.filter(|entry| entry.path().metadata().is_ok_and(|found| found.is_file()));
    let names: Vec<_> = files.map(|entry| entry.file_name()).collect();
    if names.is_empty() {
        return None;
    }
    let chosen = &names[rand::random_range(0..names.len())];
    let uri = [&exchange.request.uri, chosen.as_bytes()].concat();
    Some(internal::to_path(exchange, &uri))
}
