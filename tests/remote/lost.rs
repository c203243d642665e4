//! Answers that are lost on the way: what was done is done once, and whoever asked is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Remote, told};

/// Stands between a command and the admin API, and swallows the answers to so many changes.
struct Thief {
    url: String,
    wanted: Arc<AtomicUsize>,
}

impl Thief {
    fn before(remote: &Remote) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wanted = Arc::new(AtomicUsize::new(0));
        let behind = remote.url.trim_start_matches("http://").to_owned();
        let count = Arc::clone(&wanted);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (behind, count) = (behind.clone(), Arc::clone(&count));
                thread::spawn(move || pass(client, &behind, &count));
            }
        });
        Self { url, wanted }
    }

    /// Runs `line`, while the answers to `lost` changes get lost; what it printed and said.
    fn runs(&self, remote: &Remote, lost: usize, line: &str, code: i32) -> (String, String) {
        self.wanted.store(lost, Ordering::SeqCst);
        let output = remote
            .gateway
            .files()
            .command(&["--server", &self.url])
            .args(line.split_whitespace())
            .env("PORTCULLIS_KEY_FILE", &remote.key)
            .env("XDG_CONFIG_HOME", remote.gateway.files().path("nobody"))
            .output()
            .unwrap();
        let told = told(&output, line, code);
        assert_eq!(self.wanted.load(Ordering::SeqCst), 0, "{line}: {told:?}");
        told
    }
}

/// One connection: its requests go on as they are, the answer to a change perhaps not.
fn pass(client: TcpStream, behind: &str, wanted: &AtomicUsize) {
    let server = TcpStream::connect(behind).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let mut head = vec![0; 65_536];
    let Ok(length) = from.read(&mut head) else {
        return;
    };
    head.truncate(length);
    let is_change = [&b"POST /api/"[..], b"DELETE /api/", b"PATCH /api/"]
        .iter()
        .any(|begin| head.starts_with(begin));
    to.write_all(&head).unwrap();
    let take = |count: usize| count.checked_sub(1);
    let steals = is_change
        && wanted
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok();
    // What else the client says: a body that came later, the end.
    thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let (mut server, mut client) = (server, client);
    if steals {
        // The answer is there, so it was done.
        let mut byte = [0; 1];
        server.read_exact(&mut byte).unwrap();
    } else {
        drop(std::io::copy(&mut server, &mut client));
    }
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
}

#[test]
fn a_change_whose_answer_was_lost_is_asked_for_again_and_done_once() {
    let remote = Remote::start();
    let thief = Thief::before(&remote);
    thief.runs(&remote, 1, "accounts create ci --role reader", 0);
    let (printed, said) = thief.runs(&remote, 1, "keys create ci -o json", 0);
    assert!(!said.contains("twice"), "{said}");
    let made: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let keys = remote.json("keys list ci");
    assert_eq!(keys.as_array().unwrap().len(), 1, "{keys}");
    // The secret of the second answer is the one of the key that was made at first.
    let key = crate::harness::Key {
        id: made["id"].as_str().unwrap().to_owned(),
        secret: made["secret"].as_str().unwrap().to_owned(),
    };
    assert_eq!(keys[0]["id"], made["id"]);
    remote.gateway.token(&key);
    // Twice the same change comes to the same.
    let line = "accounts update ci --description Builds";
    thief.runs(&remote, 1, line, 0);
    let line = format!("keys rotate {} --overlap 1h", key.id);
    thief.runs(&remote, 1, &line, 0);
    let count = remote.json("keys list ci").as_array().unwrap().len();
    assert_eq!(count, 2);
    let records = remote.json("audit list --account ci --event key");
    let made = records.as_array().unwrap().iter();
    let made = made.filter(|record| {
        ["audit.key.create", "audit.key.rotate"].contains(&record["event.name"].as_str().unwrap())
    });
    // A secret that was told once more is told so.
    let (again, made): (Vec<_>, Vec<_>) =
        made.partition(|record| record.to_string().contains("once more"));
    assert_eq!((made.len(), again.len()), (2, 2), "{records}");
}

#[test]
fn where_nobody_knows_whether_it_was_done_it_is_said() {
    let remote = Remote::start();
    let thief = Thief::before(&remote);
    remote.json("accounts create ci");
    // Both answers are lost.
    let (_, said) = thief.runs(&remote, 2, "keys create ci", 3);
    assert!(said.contains("it may have been done"), "{said}");
    let count = remote.json("keys list ci").as_array().unwrap().len();
    assert_eq!(count, 1);
    // The second time it is not there any more.
    let (_, said) = thief.runs(&remote, 1, "accounts delete ci --yes", 5);
    assert!(said.contains("asked twice"), "{said}");
    remote.ends("accounts show ci", 5);
    // A no stays one.
    let (_, said) = thief.runs(&remote, 1, "keys create nobody", 5);
    assert!(said.contains("nobody"), "{said}");
}
