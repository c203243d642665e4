//! Reading a policy folder from the disk.
//!
//! Every `*.yaml` and `*.yml` below the folder, in the order of their names. Hidden entries are
//! left out: editors put half-written copies there, and Kubernetes puts the real files of a
//! mounted ConfigMap into `..data`, where they would be read a second time. Links are followed,
//! because in such a mount every file is one. Number, size and depth are bounded, so that a folder
//! named by mistake (`/`, say) is a clear fault and not a long wait.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compile::SourceFile;
use crate::words::{Fault, Faults, Place};
use crate::yaml::{self, FILE_BYTES_MAX};

/// Most policy files. A file for each of a thousand teams, twice.
const FILES_MAX: usize = 2_000;
/// Most bytes of all files together: all of them are in memory while they are compiled.
const TOTAL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most entries looked at, policy files or not.
const ENTRIES_MAX: usize = 20_000;
/// Deepest folder below the policy folder; links that go in circles end here.
const DEPTH_MAX: usize = 8;

/// Reads every policy file below `folder`. A single file may be named instead.
///
/// # Errors
///
/// What cannot be read, and a folder that holds no policy file at all: a mount that is not there
/// yet must not look like a policy that allows nothing.
pub fn read(folder: &Path) -> Result<Vec<SourceFile>, Faults> {
    let mut faults = Faults::default();
    let paths = list(folder, &mut faults);
    let mut files = Vec::new();
    let mut total = 0;
    for path in paths {
        let file: Arc<Path> = Arc::from(path);
        match read_one(&file) {
            Ok(text) => {
                total += text.len();
                files.push(SourceFile { path: file, text });
            }
            Err(fault) => faults.push(fault),
        }
        if total > TOTAL_BYTES_MAX {
            let message =
                format!("the files below have more than {TOTAL_BYTES_MAX} bytes together");
            faults.push(Fault::new(Place::whole(folder), message));
            break;
        }
    }
    if files.is_empty() && faults.is_empty() {
        let message = "there is no policy file here: expected at least one `*.yaml`";
        faults.push(Fault::new(Place::whole(folder), message));
    }
    faults.into_result(files)
}

fn read_one(path: &Arc<Path>) -> Result<String, Fault> {
    let bytes = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to know; what grows while it is read stays bounded.
        let most = u64::try_from(FILE_BYTES_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    yaml::decode(path, bytes.map_err(|error| unreadable(path, &error))?)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(Place::whole(path), format!("cannot be read: {error}"))
}

/// The policy files below `folder`, sorted; what cannot be looked at is added to `faults`.
pub(super) fn list(folder: &Path, faults: &mut Faults) -> Vec<PathBuf> {
    let mut walk = Walk {
        faults,
        found: Vec::new(),
        looked_at: 0,
    };
    match fs::metadata(folder) {
        Ok(meta) if meta.is_file() => walk.found.push(folder.to_owned()),
        Ok(_) => {
            walk.folder(folder, 0);
        }
        Err(error) => walk.faults.push(unreadable(folder, &error)),
    }
    walk.found.sort();
    walk.found
}

struct Walk<'a> {
    faults: &'a mut Faults,
    found: Vec<PathBuf>,
    looked_at: usize,
}

impl Walk<'_> {
    /// Looks at everything in `folder`; `false` once a bound is reached.
    fn folder(&mut self, folder: &Path, depth: usize) -> bool {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.faults.push(unreadable(folder, &error));
                return true;
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        entries.iter().all(|entry| {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            hidden || self.entry(&entry.path(), depth)
        })
    }

    fn entry(&mut self, path: &Path, depth: usize) -> bool {
        self.looked_at += 1;
        if self.looked_at > ENTRIES_MAX || self.found.len() >= FILES_MAX {
            let message = format!(
                "more than {FILES_MAX} policy files or {ENTRIES_MAX} entries: is this the policy folder?"
            );
            self.faults.push(Fault::new(Place::whole(path), message));
            return false;
        }
        let extension = path.extension();
        let is_yaml = extension.is_some_and(|it| it == "yaml" || it == "yml");
        match fs::metadata(path) {
            // A pipe or a device of that name would never end.
            Ok(meta) if meta.is_file() => {
                if is_yaml {
                    self.found.push(path.to_owned());
                }
                true
            }
            Ok(meta) if meta.is_dir() && depth >= DEPTH_MAX => {
                let message = format!("folders are nested deeper than {DEPTH_MAX}");
                self.faults.push(Fault::new(Place::whole(path), message));
                false
            }
            Ok(meta) if meta.is_dir() => self.folder(path, depth + 1),
            Ok(_) => true,
            Err(error) => {
                if is_yaml {
                    self.faults.push(unreadable(path, &error));
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let files = read(folder).unwrap();
        let names = files
            .iter()
            .map(|file| file.path.strip_prefix(folder).unwrap());
        names.map(|name| name.display().to_string()).collect()
    }

    fn faults(folder: &Path) -> String {
        let faults = read(folder).unwrap_err().to_string();
        faults.replace(&folder.display().to_string(), "F")
    }

    #[test]
    fn policy_files_are_read_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("team/a")).unwrap();
        fs::create_dir_all(at(".git")).unwrap();
        for name in [
            "b.yaml",
            "a.yml",
            "team/a/x.yaml",
            "notes.md",
            ".b.yaml.swp",
            ".git/c.yaml",
            "b.yaml~",
        ] {
            fs::write(at(name), "").unwrap();
        }
        assert_eq!(names(folder.path()), ["a.yml", "b.yaml", "team/a/x.yaml"]);
        assert_eq!(read(&at("b.yaml")).unwrap().len(), 1);
    }

    #[test]
    fn a_mounted_config_map_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("..2026_01_01")).unwrap();
        fs::write(at("..2026_01_01/a.yaml"), "routes:\n").unwrap();
        symlink("..2026_01_01", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        assert_eq!(names(folder.path()), ["a.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let empty = faults(folder.path());
        assert_eq!(
            empty,
            "F: there is no policy file here: expected at least one `*.yaml`"
        );
        assert!(faults(&at("nowhere")).contains("cannot be read: No such file"));
        symlink("nowhere", at("a.yaml")).unwrap();
        fs::write(at("b.yaml"), b"\xff\xfea\0").unwrap();
        let both = faults(folder.path());
        assert_eq!(both.lines().count(), 2, "{both}");
        assert!(both.contains("F/b.yaml: the file is UTF-16"), "{both}");
    }

    #[test]
    fn circles_pipes_and_huge_files_do_not_hold_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.yaml"), "").unwrap();
        symlink("/dev/zero", at("zero.yaml")).unwrap();
        assert_eq!(names(folder.path()), ["a.yaml"]);
        fs::write(at("b.yaml"), vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
        assert!(faults(folder.path()).contains("split it"));
        symlink(".", at("loop")).unwrap();
        assert!(faults(folder.path()).contains("folders are nested deeper than 8"));
    }
}
