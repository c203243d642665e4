//! Completion of names by real shells, over the control socket and from elsewhere.

use std::process::Command;

use super::{Remote, told};
use crate::harness::{Fixture, PATIENCE, Upstream, has, until};

/// What bash offers for the last word of `line`, with these words before it.
fn offered(remote: &Remote, options: &str, line: &str) -> Vec<String> {
    let script = r#"
        set -u
        PATH=${BIN%/*}:$PATH
        source <(portcullis completions bash)
        read -ra COMP_WORDS <<< "portcullis $LINE"
        [[ $LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
        _clap_complete_portcullis portcullis "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        ((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
        exit 0
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script])
        .env("BIN", env!("CARGO_BIN_EXE_portcullis"))
        .env("LINE", format!("{options} {line}"))
        .env("PORTCULLIS_KEY_FILE", &remote.key)
        .env("XDG_CONFIG_HOME", remote.gateway.files().path("nobody"))
        .output()
        .expect("there is bash");
    let (printed, said) = told(&output, line, 0);
    assert_eq!(said, "", "{line}");
    printed.lines().map(str::to_owned).collect()
}

/// What is not there at once is not offered, so a machine that is busy is asked again.
fn offers(expected: &[&str], ask: impl Fn() -> Vec<String>) {
    let mut last = Vec::new();
    until(&format!("the offer of {expected:?}"), PATIENCE, || {
        last = ask();
        last == expected || !last.is_empty()
    });
    assert_eq!(last, expected);
}

#[test]
fn bash_offers_the_names_that_the_server_has() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci-builds", &["reader"]);
    remote.json("accounts create ci-tests");
    remote.json("groups create crew --role reader");
    let config = format!("-c {}", remote.gateway.files().config().display());
    let server = format!("--server {}", remote.url);
    for options in [&config, &server] {
        // What is to be made has no name yet.
        assert!(offered(&remote, options, "accounts create ci-").is_empty());
        for (line, expected) in [
            ("accounts show ci-", &["ci-builds", "ci-tests"][..]),
            ("accounts show ci-b", &["ci-builds"]),
            ("accounts grant ci-builds --role re", &["reader"]),
            ("groups add cr", &["crew"]),
            ("groups add crew ro", &["root"]),
            ("permissions who items:r", &["items:read"]),
            ("can-i GET /v1/items/7 --as ci-t", &["ci-tests"]),
            ("denials list --account ci-t", &["ci-tests"]),
        ] {
            offers(expected, || offered(&remote, options, line));
        }
        let (begin, _) = key.id.split_at(12);
        let line = format!("keys expire {begin}");
        offers(&[&key.id], || offered(&remote, options, &line));
        offers(&["disable"], || offered(&remote, options, "accounts dis"));
        offers(&["signing_key"], || {
            offered(&remote, options, "audit list --event si")
        });
    }
}

/// What fish offers for the last word of `line`.
fn offered_by_fish(remote: &Remote, line: &str) -> Vec<String> {
    let script = r#"
        set -x PATH (dirname $BIN) $PATH
        portcullis completions fish | source
        complete -C "portcullis $LINE"
    "#;
    let output = shell(remote, "fish", line)
        .args(["--no-config", "-c", script])
        .output()
        .unwrap();
    let (printed, said) = told(&output, line, 0);
    assert_eq!(said, "", "{line}");
    // Behind a tab stands what it is.
    let names = printed.lines().filter_map(|line| line.split('\t').next());
    names.map(str::to_owned).collect()
}

/// Types `line` and Tab into zsh on a terminal, and prints what then stands there.
const ZSH: &str = r"
import os, pty, select, sys, time
child, ours = pty.fork()
if child == 0:
    os.execvp('zsh', ['zsh', '-f', '-i'])
shown, end = b'', time.monotonic() + 60
def typed(text, wanted):
    global shown
    begin = len(shown)
    os.write(ours, text.encode())
    while wanted not in shown[begin:]:
        if time.monotonic() > end or not select.select([ours], [], [], 60)[0]:
            sys.exit('waited for ' + repr(wanted) + ' in ' + repr(shown))
        shown += os.read(ours, 65536)
    return shown[begin:]
# What is typed is shown, too: only what zsh makes of it has these words whole.
typed('PATH=${BIN%/*}:$PATH; PS1=; unset zle_bracketed_paste; bindkey -e; autoload -Uz compinit\n'
      'compinit -D -u; source <(portcullis completions zsh); print LOA' + chr(39) * 2 + 'DED\n', b'LOADED')
line = typed('portcullis ' + os.environ['LINE'] + '\t\x01print -r -- BE' + chr(39) * 2 + 'GIN \x05 EN' + chr(39) * 2 + 'D\n', b' END')
print(line.split(b'BEGIN ')[-1].split(b' END')[0].decode().removeprefix('portcullis ').strip())
os.write(ours, b'exit\n')
";

/// What zsh makes of `line` when Tab is typed behind it.
fn completed_by_zsh(remote: &Remote, line: &str) -> String {
    let output = shell(remote, "python3", line)
        .args(["-c", ZSH])
        .env("TERM", "xterm")
        .output()
        .unwrap();
    told(&output, line, 0).0.trim_end().to_owned()
}

fn shell(remote: &Remote, program: &str, line: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("BIN", env!("CARGO_BIN_EXE_portcullis"))
        .env("LINE", line)
        .env("PORTCULLIS_SERVER", &remote.url)
        .env("PORTCULLIS_KEY_FILE", &remote.key)
        .env("HOME", remote.gateway.files().path("nobody"))
        .env("XDG_CONFIG_HOME", remote.gateway.files().path("nobody"));
    command
}

#[test]
fn fish_offers_the_names_that_the_server_has() {
    if !has("fish", "completion by fish") {
        return;
    }
    let remote = Remote::start();
    std::fs::create_dir_all(remote.gateway.files().path("nobody")).unwrap();
    remote.json("accounts create ci-builds --role reader");
    remote.json("accounts create ci-tests");
    for (line, expected) in [
        ("accounts show ci-", &["ci-builds", "ci-tests"][..]),
        ("accounts show ci-b", &["ci-builds"]),
        ("permissions who items:r", &["items:read"]),
        ("accounts dis", &["disable"]),
    ] {
        offers(expected, || offered_by_fish(&remote, line));
    }
}

#[test]
fn zsh_completes_the_names_that_the_server_has() {
    if !has("zsh", "completion by zsh") {
        return;
    }
    let remote = Remote::start();
    std::fs::create_dir_all(remote.gateway.files().path("nobody")).unwrap();
    remote.json("accounts create ci-builds --role reader");
    remote.json("accounts create ci-tests");
    for (line, expected) in [
        ("accounts show ci-b", "accounts show ci-builds"),
        (
            "accounts grant ci-builds --role re",
            "accounts grant ci-builds --role reader",
        ),
        ("permissions who items:r", "permissions who items:read"),
        ("accounts disa", "accounts disable"),
    ] {
        let mut last = String::new();
        until(&format!("zsh to complete `{line}`"), PATIENCE, || {
            last = completed_by_zsh(&remote, line);
            last != line
        });
        assert_eq!(last, expected);
    }
}

#[test]
fn where_no_server_is_nothing_is_offered_and_nothing_said() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    let words = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--", "portcullis"])
            .args(words)
            .env("PORTCULLIS_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len()).to_string())
            .env("_CLAP_IFS", "\n")
            .env("XDG_CONFIG_HOME", files.path("nobody"))
            .output()
            .unwrap();
        told(&output, &index, 0)
    };
    let config = files.config().to_str().unwrap();
    for place in [
        ["-c", config],
        ["-c", "/no/such/file"],
        ["--server", "http://127.0.0.1:1"],
        ["--server", "nonsense"],
        ["--context", "nowhere"],
    ] {
        let words = words(&[place[0], place[1], "accounts", "show", "c"]);
        assert_eq!(words, Default::default(), "{place:?}");
    }
    // Nor is the store of a server that does not run opened for it.
    assert!(!files.path("portcullis.db").exists());
}

#[test]
fn every_shell_gets_a_script_that_asks_this_program() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (script, _) = told(&files.cli(&["completions", shell]), shell, 0);
        assert!(script.contains("PORTCULLIS_COMPLETE"), "{shell}: {script}");
        assert!(!script.contains("target/"), "{shell}: {script}");
    }
}
