//! G09: nobody ends with a right that he could not give, whatever he asks for and in whichever order.
//!
//! Random callers ask for random things, out of pieces that are dangerous: groups, roles that include
//! roles, boundaries that overlap, `portcullis.grants:any`, keys that are narrower than their accounts.
//! Beside them stands an oracle that knows no boundaries, no extents and no demands: it writes down every
//! right of every account and key at each of a few places, before and after, and asks of each that is new
//! whether one grant of the caller holds it there, or may give anything there.

mod dice;
mod oracle;
mod stage;

use serde_json::Value;

use self::dice::Dice;
use self::oracle::{escalated, givable, held};
use self::stage::{Stage, home};
use crate::admin::ErrorKind;

/// Sequences of a short run: what a debug build does in some ten seconds.
const SEQUENCES: u64 = 1_000;
/// And of a long one.
const SEQUENCES_LONG: u64 = 200_000;
/// Steps of a sequence.
const STEPS: usize = 8;
/// Sequences that go on with what those before them have left.
const ON_ONE_STORE: u64 = 25;

fn run(sequences: u64, seed: u64) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    for first in (0..sequences).step_by(usize::try_from(ON_ONE_STORE).unwrap()) {
        let mut stage = Stage::new();
        for number in first..sequences.min(first + ON_ONE_STORE) {
            stage.begin();
            let mut dice = Dice {
                state: seed.wrapping_add(number),
                home: Value::Null,
            };
            let mut told = Vec::new();
            for _ in 0..STEPS {
                let state = stage.world.service.handle().snapshot();
                let shown = stage.shown[dice.below(stage.shown.len())].clone();
                let keys: Vec<_> = stage.shown.iter().map(|(id, _)| id.to_string()).collect();
                let Some(terms) = stage.terms(&state, &shown) else {
                    continue;
                };
                dice.home = home(terms.caller.account.name.as_str());
                let operation = dice.operation(&keys);
                let any = state.policy.permission_id("portcullis.grants:any").unwrap();
                let givable = givable(&state, &terms.caller, any);
                let before = stage.rights();
                let answer = stage.ask(&operation, &terms);
                let caller = &terms.caller;
                told.push(format!(
                    "{} with {:?}: {operation}",
                    caller.account.name, caller.key
                ));
                let Ok(made) = answer else {
                    refused += 1;
                    assert_eq!(stage.rights(), before, "refused, and done: {told:#?}");
                    assert_ne!(
                        answer.unwrap_err().kind,
                        ErrorKind::Unavailable,
                        "{told:#?}"
                    );
                    continue;
                };
                done += 1;
                let mut after = stage.rights();
                if operation["operation"] == "tokens_issue" {
                    let state = stage.world.service.handle().snapshot();
                    let name = operation["account"].as_str().unwrap();
                    let account = state.directory.account_named(name).unwrap();
                    after.insert("the token".to_owned(), held(account, None));
                }
                if let Some(escalated) = escalated(&state, (&before, &after), &givable) {
                    panic!(
                        "sequence {number}: {escalated} of one who could not give it: {told:#?}"
                    );
                }
                stage.learn(&made);
            }
        }
    }
    (done, refused)
}

/// G09.
#[test]
fn nobody_ever_ends_with_a_right_that_whoever_gave_it_could_not_give() {
    let long = std::env::var_os("PORTCULLIS_LONG").is_some_and(|value| !value.is_empty());
    let sequences = if long { SEQUENCES_LONG } else { SEQUENCES };
    let (done, refused) = run(sequences, 0x6709);
    // A generator of which nothing is done would prove nothing, and neither would one of which all is.
    let least = usize::try_from(sequences / 2).unwrap();
    assert!(
        done > least && refused > least,
        "{done} done, {refused} refused"
    );
}
