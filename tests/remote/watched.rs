//! `--watch`: what changes is seen as it changes, on a terminal and in a pipe, here and from elsewhere.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{READ, Remote};
use crate::harness::Lines;

#[test]
fn in_a_pipe_each_change_of_a_key_is_a_line() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci", &["reader"]);
    let here = remote.gateway.files().command(&["keys", "list", "ci"]);
    let elsewhere = remote.command("keys list ci");
    for mut command in [here, elsewhere] {
        let mut watch = command
            .args(["--watch", "-o", "jsonl"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let seen = Lines::of(watch.stdout.take().unwrap());
        let line = |what: &str, number: usize| -> Value {
            let line = seen.wait(what, |lines| lines.get(number).cloned());
            serde_json::from_str(&line).unwrap()
        };
        let first = line("the key as it is", 0);
        assert_eq!(first["id"], key.id.as_str(), "{first}");
        // Those of the round before stand there, too.
        let known = remote.json("keys list ci").as_array().unwrap().len();
        let change = remote.key_of("keys create ci");
        assert_eq!(line("the new key", known)["id"], change.id.as_str());
        remote.ends(&format!("keys expire {}", change.id), 0);
        let last = line("its end", known + 1);
        assert_eq!(
            (&last["id"], &last["state"]),
            (&change.id.as_str().into(), &"expired".into())
        );
        watch.kill().unwrap();
        watch.wait().unwrap();
        assert_eq!(seen.all().len(), known + 2, "{:?}", seen.all());
    }
}

#[test]
fn the_use_of_a_key_is_seen_and_the_end_of_the_server_is_said() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci", &["reader"]);
    let token = remote.gateway.token(&key);
    let mut watch = remote
        .command("accounts list --watch")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let seen = Lines::of(watch.stdout.take().unwrap());
    seen.wait("both accounts", |lines| (lines.len() >= 2).then_some(()));
    assert_eq!(remote.gateway.ask(READ, Some(&token)).status(), 200);
    remote.ends("accounts disable ci", 0);
    seen.wait("that it is disabled", |lines| {
        let mut lines = lines.iter();
        lines
            .find(|line| line.contains("  ci  enabled no"))
            .map(drop)
    });
    remote.ends("accounts delete ci --yes", 0);
    seen.wait("that it is gone", |lines| {
        lines
            .iter()
            .find(|line| line.ends_with("  ci  gone"))
            .map(drop)
    });
    remote.gateway.cli(&["drain"]);
    let ended = watch.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
}

#[test]
fn where_no_server_runs_there_is_nothing_to_watch() {
    let remote = Remote::start();
    let files = remote.gateway.files();
    drop(files.cli(&["drain"]));
    for line in [
        "keys list --watch",
        "accounts list --watch",
        "status --watch",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let output = files.cli(&words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.contains("no server is running"), "{line}: {said}");
    }
}

/// Watches on a terminal, until what is shown has the first of some words; then a command is run, and so
/// on; then Ctrl-C. Prints what was shown, and ends as the command did.
const TERMINAL: &str = r"
import fcntl, os, pty, select, struct, subprocess, sys, termios, time
words, steps = sys.argv[1].split('|'), [step.split('=') for step in sys.argv[2:]]
child, ours = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 200, 0, 0))
    os.execvp(words[0], words)
shown, end = b'', time.monotonic() + 60
for wanted, then in steps:
    begin = len(shown)
    while wanted.encode() not in shown[begin:]:
        if time.monotonic() > end or not select.select([ours], [], [], 60)[0]:
            sys.exit('waited for ' + wanted + ' in ' + repr(shown))
        shown += os.read(ours, 65536)
    if then == 'C-c':
        os.write(ours, b'\x03')
    else:
        subprocess.run(then.split('|'), check=True, stdout=subprocess.DEVNULL)
while True:
    try:
        more = os.read(ours, 65536)
    except OSError:
        break
    if not more:
        break
    shown += more
sys.stdout.buffer.write(shown)
_, status = os.waitpid(child, 0)
sys.exit(0 if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 2 else 1)
";

#[test]
fn on_a_terminal_the_table_is_drawn_again_and_ctrl_c_ends_it_without_a_word() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci", &["reader"]);
    let joined = |command: &Command| {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        words.join("|")
    };
    let watch = remote.command("keys list ci --watch");
    let expire = remote.command(&format!("keys expire {}", key.id));
    let output = Command::new("python3")
        .args(["-c", TERMINAL, &joined(&watch)])
        .arg(format!("active={}", joined(&expire)))
        .arg("expired=C-c")
        .envs(
            watch
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .output()
        .expect("there is Python");
    let shown = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown} {said}");
    // Twice, each time from the screen's first place on.
    assert!(shown.matches("\u{1b}[H\u{1b}[2J").count() >= 2, "{shown:?}");
    assert!(!shown.contains("error"), "{shown:?}");
}
