//! Files that the settings name and nobody can use: `check` finds them, and `serve` says the same.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::harness::Lines;

use super::Folder;

const POLICY: &str = "upstream: a\nroutes:\n  GET /x: public\n";

/// Settings with `lines` in them, which begin on line 5, and a certificate with its key, another key, and
/// a text that is none of these.
fn folder(lines: &str) -> Folder {
    let made = || rcgen::generate_simple_self_signed(vec!["gate.test".to_owned()]).unwrap();
    let (one, other) = (made(), made());
    let folder = Folder::with(POLICY)
        .file(
            "portcullis.yaml",
            &format!("admin: off\nops: off\nthreads: 1\nmax_connections: 9\n{lines}\n"),
        )
        .file("a.crt", &one.cert.pem())
        .file("a.key", &one.signing_key.serialize_pem())
        .file("b.key", &other.signing_key.serialize_pem())
        .file("text", "text\n");
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("text"), readable).unwrap();
    folder
}

/// What `serve` says; it must not come up.
fn served(folder: &Folder) -> Vec<String> {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("serve")
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stderr.take().unwrap());
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lines.wait_for_end()));
    // Does nothing to one that has ended, and nothing stays behind of one that has not.
    let _ = child.kill();
    let status = child.wait().unwrap();
    let mut said = lines.all();
    if let Some(line) = said.first_mut().filter(|line| line.starts_with("error: ")) {
        *line = line.replacen("error: ", "", 1);
    }
    assert!(ended.is_ok(), "it came up: {said:?}");
    assert_eq!(status.code(), Some(1), "{said:?}");
    said
}

/// What both say of the settings with `lines`, without the level and the rule that `check` adds.
#[track_caller]
fn said(folder: &Folder) -> Vec<String> {
    let (_, checked) = folder.ends("check", 1);
    let faults = checked.lines().filter_map(|line| {
        let (place, rest) = line.split_once(": error: ")?;
        Some(format!("{place}: {}", rest.strip_suffix(" [invalid]")?))
    });
    let faults: Vec<_> = faults.collect();
    assert_eq!(served(folder), faults, "{checked}");
    faults
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are a table")]
fn a_file_that_serve_cannot_use_is_an_error_of_check_in_the_same_words() {
    let upstream = "upstreams: { a: { url: http://127.0.0.1:9 } }";
    let secure = "upstreams: { a: { url: https://127.0.0.1:9, tls: ";
    let listener = "listeners: [ { address: 127.0.0.1:0, tls: ";
    for (lines, expected) in [
        (
            format!("{upstream}\n{listener}{{ certificate: a.crt, key: no.key }} }} ]"),
            "6:70: there is no file `no.key`: put the private key there, or say where it is",
        ),
        (
            format!("{upstream}\n{listener}{{ certificate: text, key: a.key }} }} ]"),
            "6:58: there is no certificate in `text`: it has to be PEM",
        ),
        (
            format!("{upstream}\n{listener}{{ certificate: a.crt, key: b.key }} }} ]"),
            "6:70: `a.crt` and `b.key` do not go together (",
        ),
        (
            format!(
                "{upstream}\n{listener}{{ certificate: a.crt, key: a.key, client_roots: no }} }} ]"
            ),
            "6:91: there is no file `no`: put the certificate there, or say where it is",
        ),
        (
            format!("{secure}{{ roots: policies }} }} }}"),
            "5:59: `policies` cannot be read (Is a directory (os error 21)): let the user that serves read it",
        ),
        (
            format!("{secure}{{ certificate: a.crt, key: b.key }} }} }}"),
            "5:77: `a.crt` and `b.key` do not go together (",
        ),
        (
            format!("{upstream}\nstore: sqlite:no/p.db"),
            "6:8: store `no/p.db` cannot be in the folder `no` (No such file or directory (os error 2)): ",
        ),
        (
            format!("{upstream}\nstore: sqlite:text"),
            "6:8: store `$/text` is damaged: file is not a database",
        ),
        (
            format!("{upstream}\npepper: text"),
            "6:9: pepper file `text` may be read by others (mode 644): `chmod 600` it",
        ),
        (
            format!("{upstream}\npepper: no/pepper"),
            "6:9: could not write pepper file `no/pepper`: No such file or directory (os error 2)",
        ),
        (
            format!("{upstream}\nstore: none\ntokens: {{ signing_key: no.pem }}\ncontrol: off"),
            "7:24: signing key `no.pem` could not be read: No such file or directory (os error 2)",
        ),
        (
            format!("{upstream}\ncontrol: no/control.sock"),
            "6:10: could not open the control socket `no/control.sock` (No such file or directory (os error 2)): ",
        ),
    ] {
        let folder = folder(&lines);
        let said = said(&folder);
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let expected = expected.replace('$', &root.display().to_string());
        let [fault] = &*said else {
            panic!("{lines}: {said:?}");
        };
        assert!(
            fault.starts_with(&format!("portcullis.yaml:{expected}")),
            "{lines}: {fault}"
        );
        // A machine that has none of them can still prove the rest.
        folder.ends("check --skip-files", 0);
    }
}

#[test]
fn everything_that_is_wrong_with_files_is_said_at_once_with_what_is_wrong_with_the_policy() {
    let folder = folder(
        "listeners:
  - { address: 127.0.0.1:0, tls: { certificate: no.crt, key: no.key } }
upstreams: { a: { url: https://127.0.0.1:9, tls: { roots: no.pem } } }
store: sqlite:no/p.db",
    )
    .file(
        "policies/p.yaml",
        "upstream: b\nroutes:\n  GET /x: public\n",
    );
    let said = said(&folder);
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(said.iter().any(|it| it.contains("`b`")), "{said:#?}");
}

#[test]
fn a_folder_without_routes_does_not_pass_where_serve_would_refuse_it() {
    let settings = "upstreams: { a: { url: http://127.0.0.1:9 } }";
    let folder = folder(settings).file("policies/p.yaml", "upstream: a\n");
    assert_eq!(
        said(&folder),
        ["policies: no file in the policy folder defines a route"]
    );
}

/// A store that is there is looked at and left alone: no lock, no file beside it, no byte of it.
#[test]
fn check_leaves_no_trace_at_a_store_and_knows_its_pepper() {
    let folder = folder("upstreams: { a: { url: http://127.0.0.1:9 } }\ncontrol: off");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    folder.ends("check", 0);
    assert_eq!(names(), before);
    // Makes the store.
    folder.ends("accounts list", 0);
    let (before, bytes) = (names(), std::fs::read(folder.path().join("portcullis.db")));
    folder.ends("check", 0);
    assert_eq!(names(), before);
    let after = std::fs::read(folder.path().join("portcullis.db"));
    assert_eq!(after.unwrap(), bytes.unwrap());
    let pepper = folder.path().join("portcullis.db.pepper");
    let mut other = std::fs::read(&pepper).unwrap();
    other[0] ^= 1;
    std::fs::write(&pepper, other).unwrap();
    let found = said(&folder);
    assert!(
        found[0].ends_with("is not the one the store was made with: restore the right one"),
        "{found:?}"
    );
    std::fs::remove_file(pepper).unwrap();
    let found = said(&folder);
    assert!(found[0].contains("is missing: every key"), "{found:?}");
}
