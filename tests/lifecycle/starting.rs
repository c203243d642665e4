//! Starting where somebody is already, or with files that do not do.

use std::process::Stdio;

use crate::harness::{Client, Files, Fixture, Gateway, Lines, Upstream, request};

/// Starts a server that must not come up; what it said.
fn refused(files: &Files) -> String {
    let mut child = files
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let lines = Lines::of(child.stderr.take().expect("it was piped"));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lines.wait_for_end()));
    // Does nothing to one that has ended, and nothing stays behind of one that has not.
    let _ = child.kill();
    let status = child.wait().expect("a child can be waited for");
    let said = lines.all().join("\n");
    assert!(ended.is_ok(), "it came up");
    assert!(
        status.code().is_some_and(|code| code != 0),
        "{status}: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn two_servers_do_not_share_a_store() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let said = refused(gateway.files());
    assert!(
        said.contains("portcullis.db") && said.contains("process"),
        "{said}"
    );
    assert_eq!(gateway.ask("GET /public/x", None).status(), 200);
    assert!(gateway.account("still", &["reader"]).id.starts_with("pck_"));
}

#[test]
fn two_servers_do_not_share_a_port() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let address = gateway.address();
    let said = refused(&Fixture::new(&upstream).at(address).write());
    assert!(said.contains(&address.to_string()), "{said}");
    for _ in 0..8 {
        assert_eq!(gateway.ask("GET /public/x", None).status(), 200);
    }
}

#[test]
fn a_port_is_free_again_when_its_server_has_gone() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).start();
    let address = gateway.address();
    // A connection that the server ended is remembered by the kernel for a while.
    assert_eq!(gateway.ask("GET /public/x", None).status(), 200);
    gateway.signal(rustix::process::Signal::KILL);
    gateway.wait();
    let next = Gateway::start(Fixture::new(&upstream).at(address).write());
    assert_eq!(next.address(), address);
}

#[test]
fn a_listener_speaks_tls_and_nothing_else() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).tls_listener().start();
    let (address, certificate) = (gateway.address_of("1"), gateway.files().certificate());
    let get = request("GET /public/x", &[], b"");
    // Who connects and says nothing holds up nobody.
    let _silent = Client::connect(address);
    let mut client = Client::connect_tls(address, certificate);
    for _ in 0..2 {
        assert_eq!(client.send(&get).response().status(), 200);
    }
    let plain = Client::connect(address).send(&get).rest();
    assert!(!plain.starts_with(b"HTTP"), "{plain:?}");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_certificate_that_does_not_do_is_named_at_the_start() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).tls_listener().write();
    let other = Fixture::new(&upstream).write();
    let key = std::fs::read_to_string(other.path("tls.key")).expect("a key");
    files.write("tls.key", &key);
    let said = refused(&files);
    assert!(
        said.contains("tls.crt") && said.contains("tls.key"),
        "{said}"
    );
    files.write("tls.crt", "nothing");
    assert!(refused(&files).contains("tls.crt"));
    std::fs::remove_file(files.path("tls.crt")).expect("it is there");
    assert!(refused(&files).contains("tls.crt"));
}
