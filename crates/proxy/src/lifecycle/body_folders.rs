//! The folders of `client_body_temp_path`, where `client_body_in_file_only` asks for files in them: made at the start, while it
//! may be done by root, and handed to the account that the workers will have.

use super::privileges;
use crate::observe::error_log::os_error;
use culvert_conf::config::{BodyFile, Config, Location};
use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// Makes what is missing. All errors are reported, as lines in nginx's form.
pub(super) fn make(config: &Config) -> Vec<String> {
    let locations = config.http.servers.iter().flat_map(|server| server.every_location());
    let in_files = locations.filter(|location: &&Arc<Location>| location.client.body_file != BodyFile::Never);
    let folders: BTreeSet<&Path> = in_files.map(|location| location.client.body_temp.folder.as_path()).collect();
    folders.into_iter().filter_map(|folder| make_one(config, folder).err()).collect()
}

fn make_one(config: &Config, folder: &Path) -> Result<(), String> {
    let failed = |call: &str, error: &io::Error| {
        format!("[emerg] {call}() \"{}\" failed ({})", folder.display(), os_error(error))
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("mkdir", &error)),
        _ => {}
    }
    if !privileges::is_root() {
        return Ok(());
    }
    let (uid, gid) = privileges::ids(config.main.user.as_ref())?;
    std::os::unix::fs::chown(folder, Some(uid), Some(gid)).map_err(|error| failed("chown", &error))
}
