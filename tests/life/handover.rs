//! A secret that nobody received opens nothing.

use std::fs::OpenOptions;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::{ends, start, told, words};
use crate::harness::Gateway;

/// Runs `line` with nobody at the other end of what it prints.
fn unread(gateway: &Gateway, line: &str) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    printed_to(gateway, line, writer.into())
}

fn printed_to(gateway: &Gateway, line: &str, stdout: Stdio) -> Output {
    let mut command = gateway.files().command(&words(line));
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
    child.unwrap().wait_with_output().unwrap()
}

#[test]
fn a_key_whose_secret_nobody_read_is_ended_and_named() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create ci --role reader"));
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for form in ["-o env", "-o k8s-secret", "-o json", "-o table"] {
        let line = format!("keys create ci {form}");
        for output in [
            unread(&gateway, &line),
            printed_to(&gateway, &line, full().into()),
        ] {
            let (_, said) = told(&output, &line, 3);
            assert!(
                said.contains("was ended") && said.contains("pck_"),
                "{said}"
            );
            assert!(
                !said.contains("pcs_") && !said.contains("store it now"),
                "{said}"
            );
        }
    }
    let keys = gateway.json(&words("keys list"));
    let keys = keys.as_array().unwrap();
    let ended = |key: &Value| key["state"] == "expired";
    assert!(keys.len() == 8 && keys.iter().all(ended), "{keys:?}");
}

#[test]
fn a_rotation_whose_secret_nobody_read_leaves_the_old_key_as_it_was() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create ci --role reader"));
    let old = gateway.json(&words("keys create ci --expires 90d"));
    let id = old["id"].as_str().unwrap();
    let line = format!("keys rotate {id} --overlap 1h -o env");
    let (_, said) = told(&unread(&gateway, &line), &line, 3);
    assert!(said.contains("as before"), "{said}");
    let keys = gateway.json(&words("keys list"));
    let shown = keys.as_array().unwrap().iter().find(|key| key["id"] == id);
    assert_eq!(shown.unwrap()["expires_at"], old["expires_at"]);
    // A reader that leaves is no error where nothing is lost.
    let (_, said) = told(&unread(&gateway, "keys list"), "keys list", 0);
    assert_eq!(said, "");
    ends(&gateway, &format!("keys expire {id}"), 0);
}
