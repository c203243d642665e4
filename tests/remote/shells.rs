//! Completion of names by real shells, over the control socket and from elsewhere.

use std::process::Command;

use super::{Remote, told};
use crate::harness::Fixture;
use crate::harness::Upstream;

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

#[test]
fn bash_offers_the_names_that_the_server_has() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci-builds", &["reader"]);
    remote.json("accounts create ci-tests");
    remote.json("groups create crew --role reader");
    let config = format!("-c {}", remote.gateway.files().config().display());
    let server = format!("--server {}", remote.url);
    for options in [&config, &server] {
        for (line, expected) in [
            ("accounts show ci-", &["ci-builds", "ci-tests"][..]),
            ("accounts show ci-b", &["ci-builds"]),
            ("accounts grant ci-builds --role re", &["reader"]),
            ("groups add cr", &["crew"]),
            ("groups add crew ro", &["root"]),
            ("permissions who items:r", &["items:read"]),
            ("can-i GET /v1/items/7 --as ci-t", &["ci-tests"]),
            ("denials list --account ci-t", &["ci-tests"]),
            // What is to be made has no name yet.
            ("accounts create ci-", &[]),
        ] {
            assert_eq!(
                offered(&remote, options, line),
                expected,
                "{options} {line}"
            );
        }
        let (begin, _) = key.id.split_at(12);
        let keys = offered(&remote, options, &format!("keys expire {begin}"));
        assert_eq!(keys, [key.id.as_str()], "{options}");
        let words = offered(&remote, options, "accounts dis");
        assert_eq!(words, ["disable"], "{options}");
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
