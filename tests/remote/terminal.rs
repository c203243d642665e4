//! What a person sees on a terminal: tables that fit, colour where it says something, a secret that is
//! typed and not shown.

use std::process::{Command, Output};

use unicode_width::UnicodeWidthStr as _;

use super::{Remote, told};

/// Runs a program on a terminal of so many columns; what it shows, and then how it ends. What is typed
/// comes after what it asks for.
const TERMINAL: &str = r"
import fcntl, os, pty, struct, subprocess, sys, termios
columns, typed, words = int(sys.argv[1]), sys.argv[2].split('|'), sys.argv[3:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 50, columns, 0, 0))
child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
os.close(theirs)
shown = b''
while True:
    try:
        more = os.read(ours, 65536)
    except OSError:
        break
    if not more:
        break
    shown += more
    if shown.endswith(b': ') and typed and typed[0]:
        os.write(ours, typed.pop(0).encode() + b'\n')
sys.stdout.buffer.write(shown)
sys.exit(child.wait())
";

fn on_terminal(remote: &Remote, columns: usize, typed: &str, line: &str) -> Output {
    let command = remote.command(line);
    let mut terminal = Command::new("python3");
    terminal
        .args(["-c", TERMINAL, &columns.to_string(), typed])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color");
    terminal.output().expect("there is Python")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The lines without what a terminal acts on.
fn bare(shown: &str) -> Vec<String> {
    let text = anstream::adapter::strip_str(shown).to_string();
    text.lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect()
}

#[test]
fn a_table_is_no_wider_than_its_terminal_and_shows_what_matters() {
    let remote = Remote::start();
    let long = "the release runner of the team that builds the nightly export";
    let mut make =
        remote.command("accounts create nightly-export-of-the-whole-inventory --role reader");
    let make = make.args(["--description", long]).output().unwrap();
    told(&make, "accounts create", 0);
    let create = "keys create nightly-export-of-the-whole-inventory";
    remote.json(&format!("{create} --expires 7d"));
    let gone = remote.key_of(create);
    remote.ends(&format!("keys expire {}", gone.id), 0);
    for line in [
        "accounts list",
        "keys list",
        "roles list",
        "audit list",
        "permissions list",
    ] {
        for columns in [200, 120, 80, 60, 40] {
            let shown = text(&on_terminal(&remote, columns, "", line));
            let lines = bare(&shown);
            let table = lines
                .iter()
                .filter(|line| !line.starts_with("no room here"));
            let table = table.filter(|line| !line.starts_with("older ones"));
            for drawn in table {
                assert!(drawn.width() <= columns, "{line} at {columns}: {shown}");
            }
        }
    }
    let shown = text(&on_terminal(&remote, 100, "", "keys list"));
    for part in [
        "\u{1b}[1m\u{1b}[31m",
        "\u{1b}[1m\u{1b}[33m",
        "expired",
        "in 6 days",
        &gone.id,
    ] {
        assert!(shown.contains(part), "{part:?}: {shown:?}");
    }
    let narrow = text(&on_terminal(&remote, 60, "", "keys list"));
    assert!(
        narrow.contains("no room here for") && narrow.contains(&gone.id),
        "{narrow}"
    );
    // In a pipe it is plain and whole.
    let (piped, said) = remote.ends("keys list", 0);
    assert!(
        !piped.contains('\u{1b}') && !piped.contains('…') && said.is_empty(),
        "{piped}"
    );
    let shown = remote.json(&format!(
        "keys list {}",
        "nightly-export-of-the-whole-inventory"
    ));
    assert_eq!(shown.as_array().unwrap().len(), 2);
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    let remote = Remote::start();
    let mut command = Command::new("python3");
    let inner = remote.command("keys list");
    command
        .args(["-c", TERMINAL, "100", ""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1");
    let shown = text(&command.output().unwrap());
    assert!(
        shown.contains("ACCOUNT") && !shown.contains('\u{1b}'),
        "{shown:?}"
    );
}

/// Interrupts a program where it asks for a secret, and says whether its terminal shows what is typed.
const INTERRUPTED: &str = r"
import fcntl, os, pty, subprocess, sys, termios
# The other end is held open, so that it can be asked afterwards how it is set.
ours, theirs = pty.openpty()
def lead():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(sys.argv[2:], stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=lead)
shown, typed = b'', [sys.argv[1].encode() + b'\n', b'pcs_half\x03']
while typed:
    shown += os.read(ours, 65536)
    if shown.endswith(b': '):
        os.write(ours, typed.pop(0))
status = child.wait()
flags = termios.tcgetattr(theirs)[3]
print(status, bool(flags & termios.ECHO), bool(flags & termios.ISIG))
";

#[test]
fn who_interrupts_the_question_for_a_secret_keeps_his_terminal() {
    let remote = Remote::start();
    let key = remote.gateway.key("root");
    let inner = remote.command("");
    let output = Command::new("python3")
        .args(["-c", INTERRUPTED, &key.id])
        .arg(inner.get_program())
        .args(["login", &remote.url, "--name", "typed"])
        .env("XDG_CONFIG_HOME", remote.gateway.files().path("typist"))
        .env_remove("PORTCULLIS_KEY_FILE")
        .output()
        .expect("there is Python");
    assert_eq!(text(&output), "2 True True\n", "{output:?}");
    let kept = remote.gateway.files().path("typist/portcullis");
    assert!(!kept.join("contexts.yaml").exists());
}

#[test]
fn a_secret_that_is_typed_is_not_shown() {
    let remote = Remote::start();
    let key = remote.gateway.key("root");
    let typed = format!("{}|{}", key.id, key.secret);
    let inner = remote.command("");
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL, "100", &typed])
        .arg(inner.get_program())
        .args(["login", &remote.url, "--name", "typed"])
        .env("XDG_CONFIG_HOME", remote.gateway.files().path("typist"))
        .env_remove("PORTCULLIS_KEY_FILE")
        .env("TERM", "xterm-256color");
    let output = command.output().unwrap();
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("Key id") && shown.contains(&key.id),
        "{shown}"
    );
    assert!(!shown.contains(&key.secret), "{shown}");
    let kept = remote
        .gateway
        .files()
        .path("typist/portcullis/contexts.yaml");
    assert!(std::fs::read_to_string(kept).unwrap().contains(&key.secret));
}
