//! One record: what is to be written, and how it reads.
//!
//! The text is JSON on one line, with flat names as logs have them (OpenTelemetry's and ECS's where
//! they have one). It is hashed as it stands, so a reader needs no rule about the form of JSON.

use serde_json::{Map, Value, json};

use super::shorter::{Depth, shorter};
use super::{Actor, Hash};
use crate::words::{RequestId, UnixTime, without_secrets};

/// Longest text of a record, in bytes. Of a longer one, what was before and after is made shorter: long
/// lists become their digests.
pub(crate) const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Longest sentence of a refusal, in bytes: the faults of a whole policy are for its author.
const SENTENCE_BYTES_MAX: usize = 1024;

/// What a record is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// `account`, `key`, `role`, …
    pub kind: &'static str,
    /// Its id, for what has one besides its name.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The account it concerns.
    pub account: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused, or failed; nothing has changed.
    Failure {
        /// What kind of no.
        kind: String,
        /// The sentence.
        message: String,
    },
}

/// One record, before it has a place in the chain.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: UnixTime,
    /// What happened: `account.create`.
    pub event: &'static str,
    /// Who asked.
    pub actor: Actor,
    /// The call.
    pub request_id: RequestId,
    /// Which process carried it out; empty where it is only beginning.
    pub instance: String,
    /// What it is about.
    pub object: Object,
    /// What was asked for, in words.
    pub words: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// What was before: of fields and lists, what differs.
    pub before: Value,
    /// What is after.
    pub after: Value,
    /// How often it was asked again like this, and since when, if this is the record of all of them; it
    /// says the rest of the last.
    pub repeated: Option<(u64, UnixTime)>,
}

impl Entry {
    /// The record with its number, as it is written and hashed.
    pub fn text(&self, number: u64) -> String {
        self.fitting(number)
            .unwrap_or_else(|long| self.with((&Value::Null, &Value::Null), number, Some(long)))
    }

    /// Whether its record says what was before and after. A change whose record could not is not made.
    pub fn fits(&self) -> bool {
        self.fitting(u64::MAX).is_ok()
    }

    /// The record, with as little made shorter as there must be; or how long it would be.
    fn fitting(&self, number: u64) -> Result<String, usize> {
        let whole = self.with((&self.before, &self.after), number, None);
        if whole.len() <= RECORD_BYTES_MAX {
            return Ok(whole);
        }
        for depth in Depth::ALL {
            let (before, after) = (shorter(&self.before, depth), shorter(&self.after, depth));
            let text = self.with((&before, &after), number, None);
            let left_out = whole.len().saturating_sub(text.len());
            let text = self.with((&before, &after), number, Some(left_out));
            if text.len() <= RECORD_BYTES_MAX {
                return Ok(text);
            }
        }
        Err(whole.len())
    }

    fn with(
        &self,
        (before, after): (&Value, &Value),
        number: u64,
        left_out_bytes: Option<usize>,
    ) -> String {
        let mut fields = self.fields(number);
        fields.insert("portcullis.before".into(), before.clone());
        fields.insert("portcullis.after".into(), after.clone());
        fields.insert("portcullis.left_out_bytes".into(), json!(left_out_bytes));
        fields.retain(|_, value| !value.is_null());
        without_secrets(&Value::Object(fields).to_string())
    }

    /// Who did it.
    fn put_actor(&self, put: &mut impl FnMut(&str, Value)) {
        match &self.actor {
            Actor::ControlSocket { uid, user, pid } => {
                put("portcullis.actor.kind", json!("control_socket"));
                put("user.id", json!(uid.to_string()));
                put("user.name", json!(user));
                put("process.pid", json!(pid));
            }
            Actor::Local { uid, user } => {
                put("portcullis.actor.kind", json!("local"));
                put("user.id", json!(uid.to_string()));
                put("user.name", json!(user));
            }
            Actor::Api {
                account,
                account_id,
                key,
                address,
                request_id: _,
            }
            | Actor::Client {
                account,
                account_id,
                key,
                address,
                request_id: _,
            } => {
                let is_api = matches!(self.actor, Actor::Api { .. });
                let kind = if is_api { "api" } else { "client" };
                put("portcullis.actor.kind", json!(kind));
                put("portcullis.actor.account.name", json!(account));
                put("portcullis.actor.account.id", json!(account_id));
                put("portcullis.actor.key_id", json!(key));
                put("client.address", json!(address));
            }
            Actor::Stranger {
                address,
                request_id: _,
            } => {
                put("portcullis.actor.kind", json!("stranger"));
                put("client.address", json!(address));
            }
            Actor::Gateway => put("portcullis.actor.kind", json!("gateway")),
        }
    }

    fn fields(&self, number: u64) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        put("timestamp", json!(self.at));
        put("event.sequence", json!(number));
        put("event.name", json!(format!("audit.{}", self.event)));
        match &self.outcome {
            Outcome::Success => put("event.outcome", json!("success")),
            Outcome::Failure { kind, message } => {
                put("event.outcome", json!("failure"));
                put("error.type", json!(kind));
                put("error.message", json!(cut(message)));
            }
        }
        self.put_actor(&mut put);
        put("portcullis.object.kind", json!(self.object.kind));
        put("portcullis.object.id", json!(self.object.id));
        put("portcullis.object.name", json!(self.object.name));
        put("portcullis.account.name", json!(self.object.account));
        put("portcullis.asked", json!(self.words.as_deref().map(cut)));
        put("portcullis.request_id", json!(self.request_id));
        let (count, since) = self.repeated.unzip();
        put("portcullis.repeated", json!(count));
        put("portcullis.repeated_since", json!(since));
        let instance = Some(&self.instance).filter(|instance| !instance.is_empty());
        put("service.instance.id", json!(instance));
        fields
    }
}

fn cut(message: &str) -> &str {
    message
        .get(..message.floor_char_boundary(SENTENCE_BYTES_MAX))
        .unwrap_or_default()
}

/// A record as it was found: whether it is what was written is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the chain.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// Its hash, and that of all before it.
    pub hash: Hash,
}

impl Row {
    /// The record with its hash. One that somebody has made unreadable is shown all the same.
    pub fn shown(&self) -> Value {
        let mut shown = match serde_json::from_str(&self.text) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => Map::from_iter([
                ("event.sequence".to_owned(), json!(self.number)),
                ("event.name".to_owned(), json!("unreadable")),
            ]),
        };
        shown.insert("event.hash".into(), json!(self.hash));
        shown.into()
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;
    use crate::words::RequestIds;

    fn entry(after: Value) -> Entry {
        Entry {
            at: UnixTime::from_secs(1_795_302_000),
            event: "account.update",
            actor: Actor::Gateway,
            request_id: RequestIds::new().next(UnixTime::default()),
            instance: "in_1".to_owned(),
            object: Object {
                kind: "account",
                name: Some("ci".to_owned()),
                ..Object::default()
            },
            words: None,
            outcome: Outcome::Success,
            before: Value::Null,
            after,
            repeated: None,
        }
    }

    #[test]
    fn a_record_is_one_line_without_what_is_not_known() {
        let text = entry(json!({ "description": "a\u{2028}b\nc" })).text(7);
        assert!(!text.contains(['\n', '\r']));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event.sequence"], 7);
        assert_eq!(value["event.name"], "audit.account.update");
        assert_eq!(value.get("portcullis.before"), None);
        assert_eq!(value.get("portcullis.object.id"), None);
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_left_out_wherever_it_was_pasted() {
        let text =
            entry(json!({ "description": "secret pcs_0123abcd and eyJh.eyJi.c2ln" })).text(1);
        assert!(
            text.contains("secret pcs_\u{2026} and eyJ\u{2026}"),
            "{text}"
        );
    }

    #[test]
    fn a_long_sentence_is_cut_and_what_can_not_be_made_shorter_does_not_fit() {
        let mut long = entry(json!({ "description": "x".repeat(RECORD_BYTES_MAX) }));
        long.outcome = Outcome::Failure {
            kind: "invalid".to_owned(),
            message: "é".repeat(SENTENCE_BYTES_MAX),
        };
        assert!(!long.fits());
        let value: Value = serde_json::from_str(&long.text(1)).unwrap();
        assert!(value["portcullis.left_out_bytes"].as_u64().unwrap() > 65_536);
        assert_eq!(value.get("portcullis.after"), None);
        assert_eq!(value["error.message"].as_str().unwrap().len(), 1024);
    }

    /// Whoever pads a change hides nothing by it: the role, and whatever is single, stands there.
    #[test]
    fn a_padded_record_still_says_every_role_and_what_its_lists_were() {
        let values: Vec<_> = (0..300).map(|n| format!("{n:0>256}")).collect();
        let long = entry(json!({
            "name": "x",
            "description": "a helper",
            "enabled": true,
            "allow_from": ["192.0.2.0/24"],
            "grants": [
                { "role": "portcullis-admin" },
                { "role": "reader", "within": { "tenant": values } },
            ],
        }));
        assert!(long.fits());
        let text = long.text(1);
        assert!(text.len() < 4096, "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert!(told["portcullis.left_out_bytes"].as_u64().unwrap() > 76_000);
        let after = &told["portcullis.after"];
        assert_eq!(after["description"], "a helper");
        assert_eq!(after["allow_from"], json!(["192.0.2.0/24"]));
        assert_eq!(after["grants"][0], json!({ "role": "portcullis-admin" }));
        assert_eq!(after["grants"][1]["role"], "reader");
        let tenant = &after["grants"][1]["within"]["tenant"];
        let digest = sha2::Sha256::digest(json!(values).to_string());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(*tenant, json!({ "count": 300, "sha256": digest }));
    }

    /// The most that anything can hold, before and after, fits.
    #[test]
    fn whatever_can_be_asked_for_fits_with_its_roles() {
        let boundary = |number: usize| {
            let values: Vec<_> = (0..4).map(|n| format!("{number}-{n:0>250}")).collect();
            let within = (0..8).map(|n| (format!("dimension-{n:0>54}"), json!(values)));
            Value::Object(within.collect())
        };
        let thing = |prefix: &str| {
            let grants = (0..256).map(|number| {
                let role = format!("{prefix}{number:0>63}");
                json!({ "role": role, "within": boundary(number) })
            });
            json!({
                "name": "n".repeat(64),
                "description": "\"".repeat(1024),
                "owner": boundary(0),
                "allow_from": (0..256).map(|n| format!("2001:db8:{n:x}::/48")).collect::<Vec<_>>(),
                "permissions": (0..1000).map(|n| format!("p{n}:view")).collect::<Vec<_>>(),
                "members": (0..10_000).map(|n| format!("sa_{n:0>22}")).collect::<Vec<_>>(),
                "grants": grants.collect::<Vec<_>>(),
            })
        };
        let mut long = entry(thing("a"));
        long.before = thing("b");
        assert!(long.fits());
        let told: Value = serde_json::from_str(&long.text(1)).unwrap();
        for (side, prefix) in [("before", "b"), ("after", "a")] {
            let grants = &told[format!("portcullis.{side}")]["grants"];
            assert_eq!(grants["count"], 256);
            let roles = grants["roles"].as_object().unwrap();
            assert_eq!(roles.len(), 256);
            assert!(roles.keys().all(|role| role.starts_with(prefix)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_that() {
        let row = Row {
            number: 3,
            text: "{".to_owned(),
            hash: Hash::ORIGIN,
        };
        assert_eq!(row.shown()["event.name"], "unreadable");
    }
}
