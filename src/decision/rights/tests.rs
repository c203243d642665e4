//! What a credential may use of what its account holds.

use super::super::tests::world::{World, get};
use super::super::{Outcome, decide};
use crate::words::Caller;

const POLICY: &str = r"
dimensions: { tenant: The customer }
permissions: { a:view: A, a:edit: B }
roles: { editor: { description: Both, permissions: [a:view, a:edit] } }
upstream: plain
routes:
  GET /view: a:view
  GET /edit: a:edit
  GET /both: { needs: { all: [a:view, a:edit] } }
  GET /either: { needs: { any: [a:view, a:edit] }, within: forwarded }
  GET /me: any_account
accounts:
  free: { description: A, grants: [{ role: editor }] }
";

/// A token that was asked for with fewer permissions gives no more than these.
#[test]
fn a_narrowed_credential_gives_no_more_than_it_was_narrowed_to() {
    let world = World::new(POLICY);
    for (target, expected, permissions) in [
        ("/view", "allow", "a:view"),
        ("/edit", "permission_missing", ""),
        ("/both", "permission_missing", ""),
        ("/either", "allow", "a:view"),
        ("/me", "allow", ""),
    ] {
        let outcome = world.ask(&get("free", target), |question, caller| {
            let only = world.policy.permission_id("a:view").unwrap();
            let caller = caller.unwrap().map(|caller| Caller {
                subset: Some([only].into_iter().collect::<crate::words::PermissionSet>()),
                ..caller
            });
            decide(question, Ok(caller))
        });
        match outcome {
            Outcome::Allowed(permit) => {
                assert_eq!(expected, "allow", "{target}");
                let told = permit.identity().unwrap().permissions.as_ref();
                assert_eq!(told.map_or("", |told| told.to_str().unwrap()), permissions);
            }
            Outcome::Denied(denial) | Outcome::Shadowed(_, denial) => {
                assert_eq!(denial.reason.code(), expected, "{target}");
            }
        }
    }
}
