//! What a running process takes of the machine, as the kernel counts it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// A process that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(u32);

impl Process {
    /// The process of this id.
    pub(crate) fn of(id: u32) -> Self {
        Self(id)
    }

    /// Memory that is in use, in bytes.
    pub(crate) fn resident(self) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = kilobytes
            .and_then(|number| number.parse().ok())
            .expect("the kernel counts the memory of a process that runs");
        kilobytes * 1024
    }

    /// Processor time so far, of all its threads.
    pub(crate) fn cpu(self) -> Duration {
        let stat = self.read("stat");
        // The name of the program stands in brackets, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number of ticks"))
            .sum();
        Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
    }

    /// Descriptors that are open.
    pub(crate) fn descriptors(self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.0));
        open.expect("the process runs").count()
    }

    /// Lets it have no more than `most` descriptors from now on; those that are open stay.
    pub(crate) fn limit_descriptors(self, most: u64) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let limit = Rlimit {
            current: Some(most),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        prlimit(pid, Resource::Nofile, limit).expect("a limit may be lowered");
    }

    /// Lets the files it writes have no more than `most` bytes from now on; any number if none is said.
    pub(crate) fn limit_files(self, most: Option<u64>) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let limit = Rlimit {
            current: most,
            maximum: getrlimit(Resource::Fsize).maximum,
        };
        prlimit(pid, Resource::Fsize, limit).expect("a limit may be lowered");
    }

    fn read(self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// Lets this process, and those it starts from now on, have `count` descriptors.
pub(crate) fn allow_descriptors(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= count),
        "this needs {count} descriptors, and the system allows {:?}: raise `ulimit -Hn`",
        limit.maximum
    );
    let limit = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit anybody may");
}

/// Of another process: beside this test, others of this one take memory and give it back.
#[test]
fn a_process_is_measured() {
    let script = "import sys\nprint('small', flush=True)\nsys.stdin.readline()\n\
        memory = bytes([1]) * (32 << 20)\nprint('large', flush=True)\nsys.stdin.readline()";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is Python");
    let mut input = child.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let process = Process::of(child.id());
    assert_eq!(lines.next().unwrap().unwrap(), "small");
    let before = process.resident();
    // It may have been handed some that are not its own.
    assert!(process.descriptors() >= 3);
    writeln!(input).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "large");
    let grown = process.resident() - before;
    assert!((32 << 20..40 << 20).contains(&grown), "{grown} bytes");
    drop(input);
    child.wait().unwrap();

    let own = Process::of(std::process::id());
    let began = own.cpu();
    while own.cpu() < began + Duration::from_millis(20) {}
}
