//! The words of policy files as an editor knows them. Their rules are kept by the types that the readers make of
//! them; what stands here is held to those by the tests of `schema`.

use crate::reason::Reason;
use crate::words::{Method, fields};
use crate::yaml::shape::{Scalars, Word, pattern};

pub(super) const UPSTREAM: Word = Word::name("an upstream's name", &["inventory"]);
pub(super) const DIMENSION: Word = Word::name("a dimension's name", &["tenant", "site"]);
pub(super) const ROLE: Word = Word::name("a role's name", &["operator", "viewer"]);
pub(super) const GROUP: Word = Word::name("a group's name", &["exporters"]);
pub(super) const ACCOUNT: Word = Word::name("an account's name", &["nightly-export", "ci"]);
pub(super) const DESCRIPTION: Word = Word::any("a sentence for people", &["See devices"]);
pub(super) const PERMISSION: Word = Word::ruled(
    "a permission, `resource:action`",
    pattern::permission,
    &["devices:view", "devices:edit"],
);
pub(super) const PERMISSIONS: Word = Word::ruled(
    "a permission, or all of a resource",
    pattern::permissions,
    &["devices:view", "devices:*"],
);
/// Who an account is.
pub(super) const ACCOUNT_ID: Word = Word {
    what: "an account's id",
    pattern: Some(|| "[A-Za-z0-9._-]{1,64}".to_owned()),
    examples: &["sa_nightly-export"],
    scalars: Scalars::Any,
};
pub(super) const KEY_ID: Word = Word::ruled("a key's id", || "pck_[0-9A-Za-z]{28}".to_owned(), &[]);
pub(super) const DIGEST: Word = Word::ruled(
    "`sha256:` and 64 hexadecimal digits",
    || "sha256:[0-9A-Fa-f]{64}".to_owned(),
    &["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
);
pub(super) const MOMENT: Word = Word::ruled(
    "a moment, RFC 3339",
    || {
        let day = "(?:19[7-9][0-9]|[2-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])";
        let time = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?";
        format!("{day}[T ]{time}Z?")
    },
    &["2027-01-31T00:00:00Z"],
);
pub(super) const HOST: Word = Word {
    what: "a host name, without a port",
    pattern: Some(|| {
        let address = pattern::ipv6();
        format!(r"(?:\[{address}\]|(?!\.*$)[A-Za-z0-9._-]{{1,255}})")
    }),
    examples: &["inventory.example.com"],
    scalars: Scalars::Any,
};
pub(super) const ADDRESS: Word =
    Word::ruled("an address", pattern::address, &["10.1.2.3", "2001:db8::7"]);
pub(super) const VALUE: Word = Word {
    what: "a value of a dimension",
    pattern: Some(|| r"[^\x00-\x1f\x7f-\x9f]{1,256}".to_owned()),
    examples: &["acme", "globex"],
    scalars: Scalars::Any,
};
pub(super) const REQUEST: Word = Word::ruled(
    "a method and a path",
    || format!(r"{} \/[^\n]*", methods()),
    &[
        "GET /v1/tenants/acme/devices",
        "DELETE /v1/tenants/acme/devices/7",
    ],
);
pub(super) const HEADER: Word = Word::ruled("a header's name", pattern::header, &["X-Tenant"]);
pub(super) const CORS_HEADER: Word = Word {
    scalars: Scalars::Any,
    ..Word::ruled(
        "a header's name",
        || format!(r"(?!\*$){}", pattern::header()),
        &["content-type"],
    )
};
pub(super) const ORIGIN: Word = Word::ruled(
    "an origin, as a browser writes it",
    || {
        let host = r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])";
        let port = pattern::port(0);
        format!(r"(?!http:\/\/.*:80$)(?!https:\/\/.*:443$)https?:\/\/{host}(?::{port})?")
    },
    &["https://app.example.com", "http://localhost:3000"],
);
pub(super) const TRAILER: Word = Word {
    scalars: Scalars::Any,
    ..Word::ruled(
        "the name of a trailer",
        fields::trailer_pattern,
        &["x-checksum"],
    )
};
/// What says the value of a dimension.
pub(super) const SOURCE: Word = Word::ruled(
    "a place in a request",
    || {
        let (query, header) = (
            super::within::query_pattern(),
            super::within::header_pattern(),
        );
        format!(r"(?:path\.[^\n]*|query\.{query}|header\.{header})")
    },
    &["path.tenant", "query.tenant", "header.X-Tenant"],
);
/// What a test expects.
pub(super) fn expectations() -> Vec<&'static str> {
    let reasons = Reason::ALL.iter().map(|reason| reason.code());
    ["allow"].into_iter().chain(reasons).collect()
}

fn methods() -> String {
    pattern::any_of(Method::ALL.iter().map(|method| method.as_str()))
}

/// Methods and template.
pub(super) const ROUTE: Word = Word::ruled(
    "methods and a path template",
    || {
        let method = methods();
        let once = "(?!(?:[A-Z]+,)*([A-Z]+),(?:[A-Z]+,)*\\1[, ])";
        let named_once = r"(?!.*\{([^{}.]+)(?:\.\.\.)?\}.*\{\2(?:\.\.\.)?\})";
        format!("{once}{named_once}{method}(?:,{method})* {}", template())
    },
    &[
        "GET /v1/tenants/{tenant}/devices",
        "PUT,DELETE /v1/tenants/{tenant}/devices/{device}",
        "GET /v1/files/{path...}",
    ],
);

/// A path template, see `policy::grammar`.
fn template() -> String {
    let name = "[A-Za-z_][A-Za-z0-9_-]*";
    let plain = "[A-Za-z0-9._~!$&'()*+,;=:@-]";
    // Neither a control character nor one that is written plain.
    let escape = "%(?![01]|7F|2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}";
    let segment = format!(r"(?!\.\.?(?:\/|$))(?:{plain}|{escape}|\{{{name}\}}(?!\{{))+");
    format!(r"\/(?:{segment}\/)*(?:{segment}|\{{{name}\.\.\.\}})?")
}
