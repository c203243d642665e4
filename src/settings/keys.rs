//! What may stand in the settings file: its keys, their kinds, bounds and defaults. Those of listeners
//! and upstreams stand beside their readers.

use std::time::Duration;

use super::{
    AUDIENCE_DEFAULT, CACHE_ENTRIES_DEFAULT, CONNECTIONS_MAX_DEFAULT, DRAIN_DELAY_DEFAULT,
    DRAIN_TIMEOUT_DEFAULT, Decisions, ISSUER_DEFAULT, METRIC_ACCOUNTS_DEFAULT, OPS_DEFAULT,
    POLICIES_DEFAULT, SIGNING_KEY_LIFE_DEFAULT, TOKEN_LIFETIME_DEFAULT, TOKEN_LIFETIME_MAX, admin,
    api_keys, audit, denials, listener, rates, upstream,
};
use crate::yaml::shape::{Keys, Known, Preset, Rule, Scalars, Shape, Word, pattern, words};

/// More threads than any machine has cores is a slip of the pen.
const THREADS_MAX: u64 = 1024;
/// More connections than one process can have open files for on any common system.
const CONNECTIONS_LIMIT: u64 = 1_000_000;
/// Ten million tokens are three gigabytes; somebody who wants more wants something else.
const CACHE_LIMIT: u64 = 10_000_000;
/// A thousand times the routes and reasons: more label values than Prometheus bears.
const METRIC_ACCOUNTS_LIMIT: u64 = 10_000;
/// Shortest lifetime of an access token that may be set: the unit it is written in.
const LIFETIME_LEAST: Duration = Duration::from_secs(1);
/// Shortest life of a signing key that may be set: each is kept for a day after, and known by whoever
/// asks for the key set.
const SIGNING_KEY_LIFE_LEAST: Duration = Duration::from_secs(60 * 60);
/// Longest life of a signing key that may be set: ten years.
const SIGNING_KEY_LIFE_MOST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Longer than any supervisor waits before it kills.
const DRAIN_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The settings file.
pub const KEYS: Keys = Keys {
    what: "the settings",
    known: &[
        Known::new(
            "listeners",
            Shape::filled_list(&Shape::Keys(&listener::KEYS)),
            "Where requests are taken. Without it, 127.0.0.1:7080 in the clear.",
        ),
        Known::new(
            "admin",
            Shape::Either(&[OFF, Shape::Keys(&admin::KEYS), Shape::Nothing]),
            "The admin API, or `off`.",
        ),
        Known::new(
            "ops",
            Shape::Either(&[OFF, Shape::Keys(&OPS), Shape::Nothing]),
            "Metrics and health, or `off`.",
        ),
        Known::new(
            "policies",
            Shape::Text(PATH),
            "The policy folder: every `*.yaml` below it is read, and read again when it changes.",
        )
        .or(Preset::Word(POLICIES_DEFAULT)),
        Known::new(
            "store",
            Shape::Text(STORE),
            "Where accounts, keys and grants are kept: `sqlite:FILE`, or `none` for accounts by file only.",
        )
        .or(Preset::Word("sqlite:portcullis.db")),
        Known::new(
            "pepper",
            Shape::Text(PATH),
            "The pepper's file, if it is not beside the store.",
        ),
        Known::new(
            "upstreams",
            Shape::Names {
                name: UPSTREAM,
                of: &Shape::Keys(&upstream::KEYS),
                filled: false,
            },
            "The APIs behind, by name.",
        ),
        Known::new(
            "shadow",
            Shape::Boolean,
            "Nothing is enforced that no upstream, file or route says otherwise of. Only with `default_upstream`.",
        )
        .or(Preset::Boolean(false)),
        Known::new(
            "default_upstream",
            Shape::Text(UPSTREAM),
            "Where requests go that no route names, while it is in shadow.",
        ),
        Known::new("tokens", Shape::Keys(&TOKENS), "Access tokens."),
        Known::new("keys", Shape::Keys(&api_keys::KEYS), "How long keys live."),
        Known::new(
            "rates",
            Shape::Keys(&rates::KEYS),
            "How often an account may ask. Rates of routes stand in the policy.",
        ),
        Known::new(
            "control",
            Shape::Text(Word::any("a path, or `off`", &["control.sock", "off"])),
            "The socket that commands reach the server by, or `off`.",
        ),
        Known::new("log", Shape::Keys(&LOG), "The request log."),
        Known::new("metrics", Shape::Keys(&METRICS), "Labels of metrics."),
        Known::new("drain", Shape::Keys(&DRAIN), "How the server ends."),
        Known::new(
            "denials",
            Shape::Either(&[OFF, Shape::Keys(&denials::KEYS), Shape::Nothing]),
            "How many refusals are kept, in memory and in the store, or `off`.",
        ),
        Known::new(
            "audit",
            Shape::Either(&[Shape::Keys(&audit::KEYS), Shape::Nothing]),
            "How much of the audit trail is kept in the store.",
        ),
        Known::new(
            "threads",
            Shape::count(THREADS_MAX),
            "Threads that carry requests. Without it, one for each core the process may use.",
        ),
        Known::new(
            "max_connections",
            Shape::count(CONNECTIONS_LIMIT),
            "Most connections of the process, all listeners together.",
        )
        .or(Preset::count(CONNECTIONS_MAX_DEFAULT)),
    ],
    later: &["trusts", "max_staleness", "limits"],
    rules: &[Rule::TrueNeeds("shadow", "default_upstream")],
};

const OFF: Shape = Shape::Choice(|| vec!["off"]);

pub(super) const OPS: Keys = Keys {
    what: "`ops`",
    known: &[
        Known::new("address", Shape::Text(ADDRESS), "An address and a port.")
            .or(Preset::Address(OPS_DEFAULT)),
    ],
    later: &["tls"],
    rules: &[],
};

pub(super) const TOKENS: Keys = Keys {
    what: "`tokens`",
    known: &[
        Known::new(
            "issuer",
            Shape::Text(ISSUER),
            "Who issues our tokens, their `iss`. A name, not an address: nobody looks it up.",
        )
        .or(Preset::Word(ISSUER_DEFAULT)),
        Known::new(
            "audience",
            Shape::Text(AUDIENCE),
            "Whom our tokens are for, their `aud`.",
        )
        .or(Preset::Word(AUDIENCE_DEFAULT)),
        Known::new(
            "lifetime",
            Shape::span(LIFETIME_LEAST, TOKEN_LIFETIME_MAX),
            "How long an access token is good.",
        )
        .or(Preset::Span(TOKEN_LIFETIME_DEFAULT)),
        Known::new(
            "signing_key_life",
            Shape::span(SIGNING_KEY_LIFE_LEAST, SIGNING_KEY_LIFE_MOST),
            "How old the store's signing key gets before another takes its place. What it signed is good until it runs out.",
        )
        .or(Preset::Span(SIGNING_KEY_LIFE_DEFAULT)),
        Known::new(
            "signing_key",
            Shape::Text(PATH),
            "The signing key's file, with `store: none`. A store keeps its own.",
        ),
        Known::new(
            "cache",
            Shape::count(CACHE_LIMIT),
            "Verified tokens kept in memory, some 300 bytes each.",
        )
        .or(Preset::count(CACHE_ENTRIES_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

pub(super) const LOG: Keys = Keys {
    what: "`log`",
    known: &[
        Known::new(
            "decisions",
            Shape::Choice(|| words(&DECISIONS)),
            "Which decisions are logged: all, or refusals only.",
        )
        .or(Preset::Word("all")),
        Known::new(
            "format",
            Shape::Choice(|| words(&FORMATS)),
            "How a line is written.",
        )
        .or(Preset::Word("json")),
    ],
    later: &[],
    rules: &[],
};

pub(super) const DECISIONS: [(&str, Decisions); 2] =
    [("all", Decisions::All), ("denied", Decisions::Denied)];
pub(super) const FORMATS: [(&str, ()); 1] = [("json", ())];

pub(super) const METRICS: Keys = Keys {
    what: "`metrics`",
    known: &[
        Known::new("accounts", Shape::Boolean, "Accounts are a label.").or(Preset::Boolean(true)),
        Known::new(
            "max_accounts",
            Shape::count(METRIC_ACCOUNTS_LIMIT),
            "Accounts with a label of their own; the others share one.",
        )
        .or(Preset::count(METRIC_ACCOUNTS_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

pub(super) const DRAIN: Keys = Keys {
    what: "`drain`",
    known: &[
        Known::new(
            "delay",
            Shape::span(Duration::ZERO, DRAIN_LIMIT),
            "How long listeners stay open after readiness fell, so that balancers notice first.",
        )
        .or(Preset::Span(DRAIN_DELAY_DEFAULT)),
        Known::new(
            "timeout",
            Shape::span(Duration::ZERO, DRAIN_LIMIT),
            "How long requests in flight may take to end after that.",
        )
        .or(Preset::Span(DRAIN_TIMEOUT_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

/// The name of an upstream.
const UPSTREAM: Word = Word::name("an upstream's name", &["inventory", "api"]);
/// A file, relative to the settings file.
pub(super) const PATH: Word = Word::any("a path, relative to this file", &["tls.crt", "/srv/p"]);
/// An address and a port.
pub(super) const ADDRESS: Word = Word::ruled(
    "an address and a port",
    pattern::socket,
    &["127.0.0.1:7080", "0.0.0.0:7443", "[::]:7082", "127.0.0.1:0"],
);
/// Where accounts are kept.
const STORE: Word = Word::ruled(
    "`sqlite:FILE` or `none`",
    || r"(?:none|sqlite:(?!\/\/).+)".to_owned(),
    &["sqlite:portcullis.db", "none"],
);
const ISSUER: Word = claim_word("an issuer");
pub(super) const AUDIENCE: Word = claim_word("an audience");

const fn claim_word(what: &'static str) -> Word {
    Word {
        what,
        pattern: Some(|| "[!-~]{1,256}".to_owned()),
        examples: &["https://inventory.example.com", "inventory"],
        scalars: Scalars::Any,
    }
}
