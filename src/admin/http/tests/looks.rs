//! Those who look, beside those who change.

use super::*;
use crate::admin::http::serve::LOOKS_MAX;

#[test]
fn whoever_looks_leaves_room_for_those_who_change() {
    let desk = Desk::new();
    let key = desk.administrator();
    let looks = Arc::clone(&desk.api.looks);
    // As many as may look at once are at it, for as long as they like.
    let most = u32::try_from(LOOKS_MAX).unwrap();
    let at_it = looks.try_acquire_many_owned(most).unwrap();
    let body = json!({ "name": "late" });
    let made = desk.ask("POST /accounts", &key, Some(&body));
    assert_eq!(made.0, StatusCode::CREATED);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = TowerToHyperService::new(Arc::clone(&desk.api).router());
        let asked = request("GET /accounts/late", &[("x-api-key", &key)], None);
        let mut look = Box::pin(service.call(asked));
        let a_while = std::time::Duration::from_millis(200);
        let waits = tokio::time::timeout(a_while, &mut look).await;
        assert!(waits.is_err(), "one more than may look");
        drop(at_it);
        assert_eq!(look.await.unwrap().status(), StatusCode::OK);
    });
}
