//! Bodies of requests in files, where a configuration asks for them (`client_body_in_file_only`).

use crate::observe::error_log::os_error;
use culvert_conf::config::TempPath;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A body in a file.
#[derive(Debug)]
pub(crate) struct SavedBody {
    file: File,
    path: PathBuf,
    length: u64,
    /// The file stays when the request is done.
    stays: bool,
}

/// The number in the name of the next file.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Files of another process, or of one before this, may have a number already: so many are passed over.
const TAKEN_MAX: u32 = 100_000;

impl SavedBody {
    /// A file with nothing in it yet. The error is a line for the log.
    pub(super) fn create(temp: &TempPath, stays: bool) -> Result<SavedBody, String> {
        for _ in 0..TAKEN_MAX {
            let path = path_of(temp, NEXT.fetch_add(1, Ordering::Relaxed));
            match open(&path) {
                Ok(file) => return Ok(SavedBody { file, path, length: 0, stays }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("open", &path, &error)),
            }
        }
        Err(format!("no free name for a temporary file in \"{}\"", temp.folder.display()))
    }

    /// Appends a piece. The error is a line for the log.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file.write_all(bytes).map_err(|error| failed("write", &self.path, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads on from a place before its end: one byte at least. The error is a line for the log.
    pub(super) fn read_at(&self, into: &mut [u8], from: u64) -> Result<usize, String> {
        let read = self.file.read_at(into, from).map_err(|error| failed("pread", &self.path, &error))?;
        match read {
            0 => Err(format!("pread() \"{}\" found {from} of {} bytes", self.path.display(), self.length)),
            read => Ok(read),
        }
    }

    /// How long it is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SavedBody {
    fn drop(&mut self) {
        if !self.stays {
            // Nobody is there any more to be told that it could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `0000000123` below folders that are named by the digits at its end.
fn path_of(temp: &TempPath, number: u64) -> PathBuf {
    let name = format!("{number:010}");
    let mut path = temp.folder.clone();
    let mut end = name.len();
    for level in &temp.levels {
        let start = end.saturating_sub(*level);
        path.push(&name[start..end]);
        end = start;
    }
    path.push(name);
    path
}

fn open(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    match (create(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            create()
        }
        (result, _) => result,
    }
}

fn failed(call: &str, path: &Path, error: &io::Error) -> String {
    format!("{call}() \"{}\" failed ({})", path.display(), os_error(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_folders_from_its_end() {
        let temp = |levels: &[usize]| TempPath { folder: "/t".into(), levels: levels.to_vec() };
        assert_eq!(path_of(&temp(&[]), 7), Path::new("/t/0000000007"));
        assert_eq!(path_of(&temp(&[1, 2]), 123_457), Path::new("/t/7/45/0000123457"));
        assert_eq!(path_of(&temp(&[3, 3, 4]), 123_457), Path::new("/t/457/123/0000/0000123457"));
    }

    #[test]
    fn a_file_goes_with_its_request_unless_it_stays() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let temp = TempPath { folder: folder.path().join("deep/er"), levels: vec![1] };
        for stays in [false, true] {
            let mut saved = SavedBody::create(&temp, stays).expect("a writable folder");
            saved.append(b"hello").expect("room on the disk");
            let path = saved.path().to_owned();
            assert_eq!((fs::read(&path).expect("it is there"), saved.length()), (b"hello".to_vec(), 5));
            drop(saved);
            assert_eq!(path.exists(), stays);
        }
    }

    #[test]
    fn a_file_that_was_cut_short_is_told_of() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let temp = TempPath { folder: folder.path().into(), levels: Vec::new() };
        let mut saved = SavedBody::create(&temp, false).expect("a writable folder");
        saved.append(b"hello").expect("room on the disk");
        saved.file.set_len(2).expect("the file is ours");
        let mut bytes = [0; 8];
        assert_eq!(saved.read_at(&mut bytes, 0), Ok(2));
        let found = saved.read_at(&mut bytes, 2).expect_err("there is no more");
        assert!(found.ends_with("found 2 of 5 bytes"), "{found}");
    }
}
