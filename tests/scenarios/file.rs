//! What may stand in a scenario file, and whether an answer is what a case expects.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis::reason::Reason;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// A policy file, as operators write it, or several.
    pub(super) policy: Texts,
    /// What the settings say of upstreams; without it any may be named.
    pub(super) upstreams: Option<BTreeMap<String, Upstream>>,
    /// What the listener reads.
    #[serde(default)]
    pub(super) listener: Listener,
    /// Who may ask.
    #[serde(default)]
    pub(super) callers: BTreeMap<String, Caller>,
    /// Accounts that were switched off after all credentials were made.
    #[serde(default)]
    pub(super) disabled: Vec<String>,
    /// Accounts that were deleted after all credentials were made.
    #[serde(default)]
    pub(super) deleted: Vec<String>,
    /// Whether there is nothing to sign tokens with.
    #[serde(default)]
    pub(super) without_signing_key: bool,
    /// What is asked, and what comes of it.
    pub(super) cases: Vec<Case>,
}

/// The rules of an upstream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "as the settings have them: each is one of its own"
)]
pub(super) struct Upstream {
    pub(super) unsafe_allow: Vec<String>,
    pub(super) unsafe_header_names: Vec<String>,
    pub(super) unsafe_query_keys: Vec<String>,
    pub(super) shadow: bool,
    /// Whether requests go to it that no route names, in shadow.
    pub(super) default: bool,
    /// The host it is at, port 80; a socket of its own if left out.
    pub(super) address: Option<String>,
    pub(super) pass_authorization: bool,
    pub(super) case_insensitive: bool,
    pub(super) trailing_slash: Option<Same>,
}

/// Whether a slash at the end counts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Same {
    Same,
}

/// The rules of the listener.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listener {
    pub(super) basic: bool,
    pub(super) api_key: bool,
    pub(super) trusted_proxies: Vec<ipnet::IpNet>,
}

/// A credential, and whose it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Caller {
    /// The account.
    pub(super) account: String,
    /// How the credential is shown.
    #[serde(default)]
    pub(super) shows: Shows,
    /// The second its token was made.
    #[serde(default)]
    pub(super) made: u64,
    /// For how many seconds its token is good.
    #[serde(default = "fifteen_minutes")]
    pub(super) lives: u64,
    /// The only permissions its token may use.
    pub(super) scope: Option<Vec<String>>,
    /// The second its key ends.
    pub(super) key_ends: Option<u64>,
    /// Whether its key was taken away after the token was made.
    #[serde(default)]
    pub(super) key_revoked: bool,
    /// What is wrong with the credential.
    pub(super) wrong: Option<Wrong>,
}

fn fifteen_minutes() -> u64 {
    900
}

/// How a credential is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shows {
    /// A bearer token made from the account's key.
    #[default]
    Token,
    /// A bearer token issued by an operator, without a key.
    IssuedToken,
    /// The key itself, by `Authorization: Basic`.
    Basic,
    /// The key itself, by `X-Api-Key`.
    ApiKey,
}

/// What is wrong with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wrong {
    /// The token is for another API.
    Audience,
    /// The token is of another issuer.
    Issuer,
    /// The token's signing key is not ours.
    SigningKey,
    /// The token names our signing key and was signed by another.
    Signature,
    /// Somebody changed the token's account by hand.
    Claims,
    /// The key's secret is another one.
    Secret,
    /// A character of the key was mistyped.
    Checksum,
}

/// One request, and what comes of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What is to be believed, as the end of a sentence that begins with the file's name.
    pub(super) it: String,
    /// Whose credential is shown; several are shown side by side.
    #[serde(default, rename = "as")]
    pub(super) callers: Texts,
    /// `METHOD /path?query`.
    pub(super) request: String,
    /// `Host`; `none` sends none.
    pub(super) host: Option<String>,
    /// More headers, as they stand on the wire.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// The body of a token request.
    pub(super) form: Option<String>,
    /// The address the connection comes from.
    #[serde(default = "somewhere")]
    pub(super) from: IpAddr,
    /// The second it is asked.
    #[serde(default = "one")]
    pub(super) at: u64,
    /// `allow`, `answered`, `issued`, or a reason.
    pub(super) expect: String,
    /// The reason that shadow mode does not enforce.
    pub(super) despite: Option<String>,
    /// The route that is named in the log.
    pub(super) route: Option<String>,
    /// The answer's status.
    pub(super) status: Option<u16>,
    /// Members of the answer's problem document; `null` must not be there.
    #[serde(default)]
    pub(super) says: BTreeMap<String, Value>,
    /// The answer's `WWW-Authenticate`; `none` must not be there.
    pub(super) challenge: Option<String>,
    /// The answer's `Allow`.
    pub(super) allow: Option<String>,
    /// Other headers of the answer; `none` must not be there.
    #[serde(default)]
    pub(super) answers: BTreeMap<String, String>,
    /// What the API behind is told; `null` must not be there.
    #[serde(default)]
    pub(super) upstream: BTreeMap<String, Option<String>>,
}

fn somewhere() -> IpAddr {
    [192, 0, 2, 1].into()
}

fn one() -> u64 {
    1
}

/// No text, one, or several.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Texts {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Texts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::None => &[],
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts.as_slice(),
        };
        texts.iter().map(String::as_str)
    }
}

impl Case {
    /// Method and target. `{a*16384}` in the target stands for so many of what is before the star.
    pub(super) fn method_and_target(&self) -> (&str, String) {
        let (method, target) = self.request.split_once(' ').expect("`METHOD /path`");
        let repeated = |piece: &str| {
            let (text, count) = piece.rsplit_once('*')?;
            Some(text.repeat(count.parse().ok()?))
        };
        let mut whole = String::new();
        let mut left = target;
        while let Some((before, after)) = left.split_once('{') {
            let (piece, after) = after.split_once('}').expect("a repetition has an end");
            whole.push_str(before);
            whole.push_str(&repeated(piece).expect("`{text*count}`"));
            left = after;
        }
        (method, whole + left)
    }

    /// The same request without a credential.
    pub(super) fn of_a_stranger(&self) -> Self {
        let credential = |header: &String| {
            let name = header.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-api-key")
        };
        let mut case = self.clone();
        case.callers = Texts::None;
        case.headers.retain(|header| !credential(header));
        case
    }

    /// What is not as it says.
    pub(super) fn faults(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        let mut same = |what: &str, expected: String, found: String| {
            if expected != found {
                faults.push(format!("{what} is {found}, not {expected}"));
            }
        };
        same("the answer", self.expect.clone(), answer.word().to_owned());
        let despite = answer.reason().filter(|_| answer.word() == "allow");
        same(
            "what is not enforced",
            format!("{:?}", self.despite.as_deref()),
            format!("{:?}", despite.map(Reason::code)),
        );
        if let Some(route) = &self.route {
            same("the route", route.clone(), answer.route().to_owned());
        }
        if let Some(status) = self.status {
            same(
                "the status",
                status.to_string(),
                answer.status().to_string(),
            );
        }
        let header = |name: &str| answer.header(name).unwrap_or_else(|| "none".to_owned());
        if let Some(challenge) = &self.challenge {
            same(
                "the challenge",
                challenge.clone(),
                header("www-authenticate"),
            );
        }
        if let Some(allow) = &self.allow {
            same("`Allow`", allow.clone(), header("allow"));
        }
        for (name, expected) in &self.answers {
            same(&format!("`{name}`"), expected.clone(), header(name));
        }
        for (member, expected) in &self.says {
            let found = answer.problem().get(member).cloned().unwrap_or_default();
            same(
                &format!("`{member}`"),
                expected.to_string(),
                found.to_string(),
            );
        }
        for (fact, expected) in &self.upstream {
            let found = answer.told().get(fact.as_str()).cloned();
            same(
                &format!("the upstream's `{fact}`"),
                format!("{expected:?}"),
                format!("{found:?}"),
            );
        }
        faults.extend(answer.broken_laws());
        faults
    }
}
