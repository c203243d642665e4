//! A rotation whose secret reaches nobody is undone, as far as it can be, and what cannot is said.

use std::process::Command;

use serde_json::Value;

use super::{ends, key_of, start, told};
use crate::harness::can_trace;

/// The disk fails when the secret is written: the room for it was there before the key was.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_rotation_whose_secret_cannot_be_written_is_undone() {
    if !can_trace("a rotation that cannot be written") {
        return;
    }
    let (_upstream, gateway) = start();
    ends(&gateway, "accounts create ci --role reader", 0);
    for (life, restored) in [("--expires 30d", true), ("", false)] {
        let (made, _) = ends(&gateway, &format!("keys create ci {life} -o json"), 0);
        let made: Value = serde_json::from_str(&made).unwrap();
        let old = key_of(&made);
        let file = gateway.files().path("new.env");
        let line = format!("keys rotate {} --overlap 1h -o env --secret-file", old.id);
        let command = gateway
            .files()
            .command(&line.split(' ').collect::<Vec<_>>());
        // The file is cut to its length when the secret stands in it.
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=ftruncate"])
            .args(["-e", "inject=ftruncate:error=EIO"])
            .arg(command.get_program())
            .args(command.get_args())
            .arg(&file)
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .output()
            .unwrap();
        let (printed, said) = told(&output, &line, 3);
        assert!(
            !printed.contains("pcs_") && !said.contains("pcs_"),
            "{printed} {said}"
        );
        assert!(said.contains("cannot be written"), "{said}");
        assert!(
            said.contains("was ended, because nobody has its secret"),
            "{said}"
        );
        assert!(!file.exists());
        // The new key opens nothing, and the old one is what it was.
        let (listed, _) = ends(&gateway, "keys list ci -o json", 0);
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let alive: Vec<_> = listed
            .iter()
            .filter(|key| key["state"] != "expired")
            .collect();
        let now = alive
            .iter()
            .find(|key| key["id"] == old.id.as_str())
            .unwrap();
        assert_eq!(alive.len(), 1, "{listed:?}");
        if restored {
            assert_eq!(now["expires_at"], made["expires_at"], "{said}");
            assert!(said.contains("as before"), "{said}");
        } else {
            // An end cannot be taken back, so it is said until when there is time.
            assert!(
                now["expires_at"].is_string() && said.contains("rotate it again"),
                "{said}"
            );
        }
        assert_eq!(super::asks_for_token(&gateway, &old).status(), 200);
        ends(&gateway, &format!("keys expire {}", old.id), 0);
    }
}
