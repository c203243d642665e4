//! What may stand in accounts, groups and tests. What may stand elsewhere is beside its reader.

use super::{DESCRIBED, words};
use crate::yaml::shape::{Keys, Known, NETWORK, Rule, Shape, Word};

/// An account.
pub(super) const ACCOUNT: Keys = Keys {
    what: "an account",
    known: &[
        Known::new(
            "id",
            Shape::Text(words::ACCOUNT_ID),
            "Who it is, however often its name is given away again. With `store: none` it has to be said.",
        ),
        DESCRIBED,
        GRANTS,
        Known::new(
            "allow_from",
            Shape::filled_list(&Shape::Text(NETWORK)),
            "Addresses it may call from. Without it, any.",
        ),
        Known::new(
            "keys",
            Shape::list(&Shape::Keys(&FILE_KEY)),
            "Its keys, for accounts without a store: id and digest.",
        ),
        OWNER,
    ],
    later: &["identities"],
    rules: &[],
};

/// A group.
pub(super) const GROUP: Keys = Keys {
    what: "a group",
    known: &[
        DESCRIBED,
        Known::new(
            "members",
            Shape::list(&Shape::Text(words::ACCOUNT)),
            "The accounts in it.",
        ),
        GRANTS,
        OWNER,
    ],
    later: &[],
    rules: &[],
};

/// Whose something is.
pub(super) const OWNER: Known = Known::new(
    "owner",
    LIMITS,
    "In files for `portcullis accounts apply` alone: only who manages all of it, within these dimensions \
     and values, sees and changes it. Said when it is made, and not changed. Without it, who manages \
     everything.",
);

/// Dimensions, and values of each.
const LIMITS: Shape = Shape::Names {
    name: words::DIMENSION,
    of: &Shape::filled_list(&Shape::Text(words::VALUE)),
    filled: true,
};

const GRANTS: Known = Known::new(
    "grants",
    Shape::list(&Shape::Keys(&GRANT)),
    "The roles it has, everywhere or within a boundary.",
);

pub(super) const GRANT: Keys = Keys {
    what: "a grant",
    known: &[
        Known::new("role", Shape::Text(words::ROLE), "The role.").required(),
        Known::new(
            "within",
            LIMITS,
            "Where it holds: dimensions and their values. Without it, everywhere.",
        ),
    ],
    later: &[],
    rules: &[],
};

pub(super) const FILE_KEY: Keys = Keys {
    what: "a key",
    known: &[
        Known::new("id", Shape::Text(words::KEY_ID), "The key's id, `pck_…`.").required(),
        Known::new(
            "digest",
            Shape::Text(words::DIGEST),
            "`sha256:` of its secret, in hexadecimal digits.",
        )
        .required(),
        DESCRIBED,
        Known::new(
            "expires_at",
            Shape::Text(words::MOMENT),
            "When it ends. Without it, never.",
        ),
        Known::new(
            "only",
            Shape::filled_list(&Shape::Text(words::PERMISSIONS)),
            "The only permissions it may use, within what its account may. Without it, all of those.",
        ),
        Known::new(
            "allow_from",
            Shape::filled_list(&Shape::Text(NETWORK)),
            "Addresses it may be used from, within those of its account. Without it, any of those.",
        ),
    ],
    later: &[],
    rules: &[],
};

/// A test.
pub(super) const TEST: Keys = Keys {
    what: "a test",
    known: &[
        Known::new(
            "as",
            Shape::Text(words::ACCOUNT),
            "The account that calls. Without it, a stranger.",
        ),
        Known::new(
            "request",
            Shape::Text(words::REQUEST),
            "Method and path, perhaps with a query.",
        )
        .required(),
        Known::new(
            "expect",
            Shape::Choice(words::expectations),
            "`allow`, or the reason it is refused for.",
        )
        .required(),
        Known::new(
            "missing",
            Shape::filled_list(&Shape::Text(words::PERMISSION)),
            "The permissions the refusal names as missing, with `permission_missing`.",
        ),
        Known::new(
            "host",
            Shape::Text(Word::any("a host", &["inventory.example.com"])),
            "The host the request names.",
        ),
        Known::new(
            "headers",
            Shape::Names {
                name: words::HEADER,
                of: &Shape::Text(Word::any("a header's value", &["acme"])),
                filled: false,
            },
            "Headers of the request that a boundary reads.",
        ),
        Known::new(
            "from",
            Shape::Text(words::ADDRESS),
            "The address it comes from. Without it addresses are not looked at.",
        ),
    ],
    later: &[],
    rules: &[Rule::Only("missing", "expect", "permission_missing")],
};
