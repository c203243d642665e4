//! F24: a disk that takes its time. Whoever changes something waits for it, and no request does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::json;

use super::faults::{Fault, READ, is_there, served, with_key};
use crate::harness::{Files, PATIENCE, Upstream, until};

/// For how long each sync is held up, in microseconds: longer than the test is patient.
const SLOW: &str = "delay_enter=40000000";

/// When the log of the store was last written.
fn written(files: &Files) -> Option<SystemTime> {
    let log = std::fs::metadata(files.path("portcullis.db-wal")).ok()?;
    log.modified().ok()
}

#[test]
fn f24_a_slow_disk_delays_no_request() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let (gateway, [good, leaked]) = served(&upstream);
    let token = gateway.token(&good);
    let slow = Fault::begin(&gateway, "fsync,fdatasync", SLOW);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let before = written(gateway.files());
        scope.spawn(|| {
            gateway.operate(&json!({ "operation": "keys_expire", "key": leaked.id }));
            is_done.store(true, Ordering::SeqCst);
        });
        until("the change to wait for the disk", PATIENCE, || {
            written(gateway.files()) != before
        });
        for _ in 0..50 {
            assert_eq!(with_key(&gateway, &good), 200);
            assert_eq!(gateway.ask(READ, Some(&token)).status(), 200);
        }
        // A token that nobody has seen, and one that is made now.
        let fresh = gateway.token(&good);
        assert_eq!(gateway.ask(READ, Some(&fresh)).status(), 200);
        for probe in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(gateway.ops(probe).status(), 200);
        }
        assert!(!is_done.load(Ordering::SeqCst), "nothing was slow");
        drop(slow);
    });
    assert_eq!(
        (with_key(&gateway, &good), with_key(&gateway, &leaked)),
        (200, 401)
    );
}
