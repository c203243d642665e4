//! Noticing that a policy folder has changed. Compiling and swapping it is for the caller.
//!
//! By looking, not by being told: a watch on a file sees only the first of the swaps by which
//! Kubernetes replaces a mounted ConfigMap, editors replace files in their own ways, and no network
//! file system tells at all. Looking at a few files twice a second costs nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::folder;
use crate::words::Faults;

/// How often the folder is looked at: an edit is to be live within two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the folder must have been quiet: whoever writes several files is given time to finish.
const QUIET: Duration = Duration::from_millis(250);
/// Longest wait for quiet. A folder that is written to all the time is still read now and then.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often the content is compared too, for edits that leave no other trace.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// Watches a policy folder.
#[derive(Debug)]
pub struct Watch {
    folder: PathBuf,
    seen: Vec<Trace>,
    content: [u8; 32],
    compared: Instant,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    look_every: Duration,
    quiet: Duration,
    quiet_wait_max: Duration,
    compare_every: Duration,
}

/// What can be told of a file without reading it. Replaced files have another inode, and whoever
/// sets a modification time back still moves the change time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    path: PathBuf,
    /// Device, inode, size, modification and change time in nanoseconds; nothing if it cannot be
    /// looked at.
    state: Option<(u64, u64, u64, i128, i128)>,
}

impl Watch {
    /// Watches `folder` from now on. Make it *before* the folder is read the first time, or an edit
    /// in between stays unseen.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            seen: traces(&folder),
            content: content(&folder),
            folder,
            compared: Instant::now(),
            pace: Pace {
                look_every: LOOK_EVERY,
                quiet: QUIET,
                quiet_wait_max: QUIET_WAIT_MAX,
                compare_every: COMPARE_EVERY,
            },
        }
    }

    /// Waits until the folder differs from what was last returned for, and has been quiet for a
    /// moment. May be dropped while it waits; the next call sees the same change.
    pub async fn changed(&mut self) {
        loop {
            sleep(self.pace.look_every).await;
            let now = self.look(traces).await;
            if now != self.seen {
                let settled = self.settle(now).await;
                self.content = self.look(content).await;
                self.compared = Instant::now();
                self.seen = settled;
                return;
            }
            if self.compared.elapsed() >= self.pace.compare_every {
                self.compared = Instant::now();
                let content = self.look(content).await;
                if content != self.content {
                    self.content = content;
                    return;
                }
            }
        }
    }

    /// Waits until two looks in a row see the same.
    async fn settle(&self, mut last: Vec<Trace>) -> Vec<Trace> {
        let started = Instant::now();
        while started.elapsed() < self.pace.quiet_wait_max {
            sleep(self.pace.quiet).await;
            let now = self.look(traces).await;
            if now == last {
                break;
            }
            last = now;
        }
        last
    }

    /// Looks at the folder off the runtime's thread: a disk may take its time.
    async fn look<T: Send + Default + 'static>(&self, look: fn(&Path) -> T) -> T {
        let folder = self.folder.clone();
        let looked = tokio::task::spawn_blocking(move || look(&folder)).await;
        looked.unwrap_or_default()
    }
}

fn traces(folder: &Path) -> Vec<Trace> {
    let paths = folder::list(folder, &mut Faults::default());
    let trace = |path: PathBuf| {
        let meta = fs::metadata(&path).ok();
        let state = meta.map(|meta| {
            let nanoseconds =
                |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
            (
                meta.dev(),
                meta.ino(),
                meta.size(),
                nanoseconds(meta.mtime(), meta.mtime_nsec()),
                nanoseconds(meta.ctime(), meta.ctime_nsec()),
            )
        });
        Trace { path, state }
    };
    paths.into_iter().map(trace).collect()
}

/// A digest of everything a policy would be made from, faults included.
fn content(folder: &Path) -> [u8; 32] {
    let mut digest = Sha256::new();
    match folder::read(folder) {
        Ok(files) => {
            for file in files {
                digest.update(file.path.as_os_str().as_encoded_bytes());
                digest.update([0]);
                digest.update(Sha256::digest(file.text.as_bytes()));
            }
        }
        Err(faults) => digest.update(faults.to_string()),
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    fn watch(folder: &Path) -> Watch {
        let mut watch = Watch::new(folder);
        watch.pace = Pace {
            look_every: Duration::from_millis(5),
            quiet: Duration::from_millis(20),
            quiet_wait_max: Duration::from_millis(500),
            compare_every: Duration::from_millis(50),
        };
        watch
    }

    async fn sees(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(5), watch.changed())
            .await
            .is_ok()
    }

    async fn stays_still(watch: &mut Watch) -> bool {
        timeout(Duration::from_millis(150), watch.changed())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn every_way_of_editing_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.yaml"), "routes:\n").unwrap();
        let mut watch = watch(folder.path());
        assert!(stays_still(&mut watch).await, "nothing was done");
        let steps: [(&str, &dyn Fn()); 5] = [
            ("written over", &|| {
                fs::write(at("a.yaml"), "routes: {}\n").unwrap();
            }),
            ("renamed over", &|| {
                fs::write(at(".a.tmp"), "roles:\n").unwrap();
                fs::rename(at(".a.tmp"), at("a.yaml")).unwrap();
            }),
            ("added", &|| fs::write(at("b.yaml"), "").unwrap()),
            ("removed", &|| fs::remove_file(at("b.yaml")).unwrap()),
            ("same length, time set back", &|| {
                fs::write(at("a.yaml"), "rolez:\n").unwrap();
                let file = fs::File::options().write(true).open(at("a.yaml")).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }),
        ];
        for (name, step) in steps {
            step();
            assert!(sees(&mut watch).await, "{name}");
            assert!(stays_still(&mut watch).await, "{name}, a second time");
        }
        fs::write(at("notes.md"), "x").unwrap();
        assert!(stays_still(&mut watch).await, "not a policy file");
    }

    #[tokio::test]
    async fn f19_three_config_map_swaps_in_a_row_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let swap = |version: &str| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.yaml"), version).unwrap();
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        swap("..1");
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut watch = watch(folder.path());
        for (old, new) in [("..1", "..2"), ("..2", "..3"), ("..3", "..4")] {
            swap(new);
            fs::remove_dir_all(at(old)).unwrap();
            assert!(sees(&mut watch).await, "{new}");
        }
        assert!(stays_still(&mut watch).await);
    }

    #[tokio::test]
    async fn a_folder_that_goes_and_comes_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let policies = folder.path().join("policies");
        fs::create_dir(&policies).unwrap();
        fs::write(policies.join("a.yaml"), "").unwrap();
        let mut watch = watch(&policies);
        fs::rename(&policies, folder.path().join("away")).unwrap();
        assert!(sees(&mut watch).await);
        fs::rename(folder.path().join("away"), &policies).unwrap();
        assert!(sees(&mut watch).await);
    }

    #[tokio::test]
    async fn a_change_that_leaves_no_trace_is_seen_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "").unwrap();
        let mut watch = watch(folder.path());
        watch.content = [0; 32];
        assert!(sees(&mut watch).await);
        assert!(stays_still(&mut watch).await);
    }
}
