//! What a failure leaves behind, on an engine that is made to fail.

use super::*;
use crate::store::pepper_path;

#[test]
fn what_was_taken_back_leaves_no_doubt_and_nothing_is_added_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let now = UnixTime::from_secs(1);
    let (mut store, _) = Sqlite::open(&path, &pepper_path(&path), now).unwrap();
    let pages: i64 = store
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    store
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let long = json!({ "text": "x".repeat(60_000) });
    let entry = audit::entry_of("test.change", now, "in_test", long);
    let before = store.audit_anchor(now).unwrap();
    let full = store
        .commit(None, std::slice::from_ref(&entry))
        .unwrap_err();
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!(!full.is_in_doubt() && !store.seal.is_doubtful());
    store
        .connection
        .pragma_update(None, "max_page_count", pages + 1000)
        .unwrap();
    // At the very end: a key without an account, which is found out when all is written.
    let orphan = store.transact(|transaction, _| {
        transaction.pragma_update(None, "defer_foreign_keys", true)?;
        transaction.execute(
            "INSERT INTO group_members (group_name, account) VALUES ('g', 'nobody')",
            [],
        )?;
        Ok(())
    });
    let orphan = orphan.unwrap_err();
    assert!(matches!(orphan, StoreError::Engine { .. }), "{orphan}");
    assert!(!orphan.is_in_doubt() && !store.seal.is_doubtful());
    assert_eq!(store.audit_anchor(now).unwrap().number, before.number);
    store.commit(None, &[entry]).unwrap();
    store.whole().unwrap();
}
