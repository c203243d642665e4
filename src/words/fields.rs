//! Names of header fields that mean something to HTTP or to a gateway, and what a lenient reader
//! takes another name for.
//!
//! They stand in one place because three parts have to agree on them: what a client may say to an
//! upstream, what a boundary may be read from, and what the settings may let through.

/// Everything of ours begins with this; nobody else's field may.
pub const OURS: &str = "x-portcullis-";

/// Fields that are for the next hop only (RFC 9110 §7.6.1, RFC 7540 §3.2.1).
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What other proxies say of where a request came from, who sent it or what it was meant for. From a
/// client it is a claim nobody checked, and upstreams believe it; so the whole family goes, by rule
/// as far as there is one, and what we know is written anew.
const CLAIM_FAMILIES: [&str; 4] = ["x-forwarded", "x-original-", "x-envoy-", "x-ssl-client-"];

/// Claims whose names follow no rule.
const CLAIMS: [&str; 13] = [
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
    "x-rewrite-url",
];

/// Says whether `name`, in lower case, is what another proxy would say of a request.
pub fn is_claim(name: &str) -> bool {
    CLAIM_FAMILIES.iter().any(|start| name.starts_with(start)) || CLAIMS.contains(&name)
}

/// Fields by which a client asks an upstream to act on another method than the one decided on.
pub const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Fields that say whose a message is and where it ends or goes.
const VITAL: [&str; 7] = [
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "host",
    "set-cookie",
    "x-api-key",
];

/// Fields that change how a message is read, and so come too late behind its body (RFC 9110 §6.5.1).
const BEFORE_THE_BODY: [&str; 9] = [
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "max-forwards",
    "pragma",
    "range",
    "www-authenticate",
    "proxy-authenticate",
];

/// Says whether every reader sees the same name in this one: letters, digits and `-`.
pub fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What a CGI-like reader takes `name` for, in lower case: `X_Forwarded.For` becomes `HTTP_X_FORWARDED_FOR`
/// there, as `X-Forwarded-For` does.
pub fn folded(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() {
            character.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    name.chars().map(plain).collect()
}

/// Says whether `name`, in any spelling, is one a client may never say to an upstream or that is
/// made anew on the way: ours, for one hop, a claim, a credential, or the frame of the message.
pub fn is_reserved(name: &str) -> bool {
    let name = folded(name);
    let name = name.as_str();
    name.starts_with(OURS)
        || HOP_BY_HOP.contains(&name)
        || is_claim(name)
        || METHOD_OVERRIDES.contains(&name)
        || VITAL.contains(&name)
}

/// The names of [`is_reserved`] as a regular expression, for whoever checks names elsewhere: editors.
pub fn reserved_pattern() -> String {
    let starts = [OURS].into_iter().chain(CLAIM_FAMILIES);
    let starts = starts.map(|start| format!("{}.*", folded_pattern(start)));
    let lists: [&[&str]; 4] = [&HOP_BY_HOP, &CLAIMS, &METHOD_OVERRIDES, &VITAL];
    let names = lists.concat().into_iter().map(folded_pattern);
    format!("(?:{})", starts.chain(names).collect::<Vec<_>>().join("|"))
}

/// The names of [`may_be_trailer`] as a regular expression.
pub fn trailer_pattern() -> String {
    let late: Vec<_> = BEFORE_THE_BODY.into_iter().map(folded_pattern).collect();
    let reserved = reserved_pattern();
    format!("(?!(?:{reserved}|{})$)[A-Za-z0-9-]+", late.join("|"))
}

/// Whatever [`folded`] makes `name` of.
fn folded_pattern(name: &str) -> String {
    let any = |c: char| match c {
        '-' => "[^A-Za-z0-9]".to_owned(),
        c if c.is_ascii_digit() => c.to_string(),
        c => format!("[{}{c}]", c.to_ascii_uppercase()),
    };
    name.chars().map(any).collect()
}

/// Says whether `name` may stand behind a request's body, where a route lets it.
pub fn may_be_trailer(name: &str) -> bool {
    is_plain(name) && !is_reserved(name) && !BEFORE_THE_BODY.contains(&folded(name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C02, C03, B10: another spelling is no way around.
    #[test]
    fn a_reserved_name_is_reserved_in_any_spelling() {
        for name in [
            "X-Portcullis-Account",
            "x_portcullis_anything",
            "X.Portcullis-New",
            "Transfer_Encoding",
            "content_length",
            "X_Forwarded_For",
            "X-Forwarded-Client-Cert",
            "x_original_host",
            "x_http_method_override",
            "X_API_KEY",
            "Authorization",
        ] {
            assert!(is_reserved(name), "{name}");
            assert!(!may_be_trailer(name), "{name}");
        }
        for name in ["api_key", "X-Tenant", "x.y"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    /// B42.
    #[test]
    fn what_frames_or_describes_a_body_does_not_come_behind_it() {
        for name in ["Content-Type", "Range", "Host", "Cookie", "api_key", ""] {
            assert!(!may_be_trailer(name) || name.is_empty(), "{name}");
        }
        assert!(may_be_trailer("X-Checksum"));
        assert!(may_be_trailer("grpc-status"));
    }
}
