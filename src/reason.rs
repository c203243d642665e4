//! Why a request was turned away: one row per reason, read by everything that speaks of it.
//!
//! The code goes to log, metrics and docs and is never renamed; the public code and the sentence
//! go to the caller and tell a stranger nothing. Two reasons may share a public code; no two share
//! a code.

use http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $public:literal, $title:literal;)+) => {
        /// Why a request was turned away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The operator's word: log field, metric label. Never renamed, never reused.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The status of the answer.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// The caller's word: `reason` of the problem document.
            pub const fn public_code(self) -> &'static str {
                match self { $(Self::$name => $public,)+ }
            }

            /// The caller's sentence: `title` of the problem document. It tells nothing the caller
            /// did not already know.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// The reason with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

reasons! {
    // 400: nobody's request could be answered if it looks like this.
    /// The path can be read two ways.
    PathAmbiguous = "path_ambiguous", BAD_REQUEST, "path_ambiguous", "the path can be read two ways";
    /// Request line, Host, framing, or a value a boundary reads are not what HTTP allows.
    RequestMalformed = "request_malformed", BAD_REQUEST, "request_malformed", "the request is malformed";
    /// More than one credential.
    CredentialRepeated = "credential_repeated", BAD_REQUEST, "credential_repeated", "send exactly one credential";

    // 401: a stranger learns whether to bring a credential, and no more.
    /// No credential.
    CredentialMissing = "credential_missing", UNAUTHORIZED, "credential_missing", "a credential is required";
    /// A credential that is not of any form we read.
    CredentialMalformed = "credential_malformed", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// A token that nobody here made, or whose signing key is gone.
    TokenUnknown = "token_unknown", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The token's time is over.
    TokenExpired = "token_expired", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The token's time has not come.
    TokenNotYetValid = "token_not_yet_valid", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The token was good once and has been taken back.
    TokenRevoked = "token_revoked", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// No such key, or its secret is wrong.
    KeyUnknown = "key_unknown", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The key's own expiry has passed.
    KeyExpired = "key_expired", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The key was taken back, or went with its account.
    KeyRevoked = "key_revoked", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The account is switched off, or closed because two sources claim its name.
    AccountDisabled = "account_disabled", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// A token of an issuer nobody here trusts.
    IssuerUntrusted = "issuer_untrusted", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// The signature does not hold.
    SignatureWrong = "signature_wrong", UNAUTHORIZED, "token_invalid", "the credential is not valid";
    /// A token for somebody else.
    AudienceWrong = "audience_wrong", UNAUTHORIZED, "token_invalid", "the credential is not valid";

    // 403: a known caller learns exactly what is missing.
    /// No grant gives the permission.
    PermissionMissing = "permission_missing", FORBIDDEN, "permission_missing", "a permission is missing";
    /// Grants give the permission, and none of them holds at this place.
    OutsideBoundary = "outside_boundary", FORBIDDEN, "outside_boundary", "no grant holds at this place";
    /// The account may not call from this address.
    AddressNotAllowed = "address_not_allowed", FORBIDDEN, "address_not_allowed", "calls from this address are not allowed";

    // Routing and rates.
    /// No route leads there.
    RouteMissing = "route_missing", NOT_FOUND, "route_missing", "no such resource";
    /// The path exists under other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "method_not_allowed", "the method is not allowed here";
    /// Not a host of ours.
    HostUnknown = "host_unknown", MISDIRECTED_REQUEST, "host_unknown", "no such host here";
    /// The account or the route is over its rate.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "rate_limited", "too many requests";
    /// Too many failed credentials from this address lately.
    SourceThrottled = "source_throttled", TOO_MANY_REQUESTS, "source_throttled", "too many failed attempts from this address";

    // Limits of one request.
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "request_timeout", "the request took too long to arrive";
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large";
    /// The request target is longer than allowed.
    TargetTooLong = "target_too_long", URI_TOO_LONG, "target_too_long", "the request target is too long";
    /// An expectation other than `100-continue`.
    ExpectationFailed = "expectation_failed", EXPECTATION_FAILED, "expectation_failed", "the expectation cannot be met";
    /// The upgrade asked for is not possible as it was asked.
    UpgradeRefused = "upgrade_refused", UPGRADE_REQUIRED, "upgrade_refused", "the upgrade cannot be done";
    /// The header section is larger than allowed.
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "the header section is too large";

    // What no gateway does.
    /// Our own fault.
    InternalError = "internal_error", INTERNAL_SERVER_ERROR, "internal_error", "the gateway failed";
    /// A method we do not know, or do not forward.
    MethodUnknown = "method_unknown", NOT_IMPLEMENTED, "method_unknown", "the method is not implemented";
    /// A transfer coding other than `chunked`.
    TransferCodingUnknown = "transfer_coding_unknown", NOT_IMPLEMENTED, "transfer_coding_unknown", "the transfer coding is not implemented";
    /// A version of HTTP we do not speak.
    VersionUnknown = "version_unknown", HTTP_VERSION_NOT_SUPPORTED, "version_unknown", "the HTTP version is not supported";
    /// The request has been here before.
    LoopDetected = "loop_detected", LOOP_DETECTED, "loop_detected", "the request goes in circles";

    // The API behind, or our own readiness.
    /// No connection to the upstream.
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY, "upstream_unreachable", "the API behind cannot be reached";
    /// The upstream closed the connection before it answered.
    UpstreamReset = "upstream_reset", BAD_GATEWAY, "upstream_reset", "the API behind closed the connection";
    /// The upstream's answer is not HTTP.
    UpstreamMalformed = "upstream_malformed", BAD_GATEWAY, "upstream_malformed", "the API behind answered something that is not HTTP";
    /// The gateway has no policy yet.
    NotReady = "not_ready", SERVICE_UNAVAILABLE, "not_ready", "the gateway is not ready";
    /// The gateway is going away.
    Draining = "draining", SERVICE_UNAVAILABLE, "draining", "the gateway is shutting down";
    /// The gateway cannot vouch for this caller's state any more.
    DirectoryStale = "directory_stale", SERVICE_UNAVAILABLE, "directory_stale", "the caller's state cannot be confirmed";
    /// The keys of a trusted issuer cannot be had.
    TrustUnavailable = "trust_unavailable", SERVICE_UNAVAILABLE, "trust_unavailable", "the token cannot be checked now";
    /// The upstream has all it can take.
    UpstreamOverloaded = "upstream_overloaded", SERVICE_UNAVAILABLE, "upstream_overloaded", "the API behind is busy";
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, "upstream_timeout", "the API behind did not answer in time";
}

impl Reason {
    /// Says whether shadow mode lets a request through that has this reason against it: what would
    /// be refused with 401, 403, 404 or 405, and nothing that is wrong with the request itself.
    pub fn is_shadowable(self) -> bool {
        matches!(
            self.status(),
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
        )
    }

    /// Says whether it is nobody's lack of rights: the request was let through and came to nothing,
    /// or was none that could be decided about.
    pub fn is_failure(self) -> bool {
        !matches!(self.status().as_u16(), 400..=405 | 421 | 429)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_reasons_share_a_code_and_each_reads_back() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
        }
    }

    #[test]
    fn every_401_says_missing_or_invalid_and_no_more() {
        for reason in Reason::ALL
            .iter()
            .filter(|r| r.status() == StatusCode::UNAUTHORIZED)
        {
            let expected = if *reason == Reason::CredentialMissing {
                ("credential_missing", "a credential is required")
            } else {
                ("token_invalid", "the credential is not valid")
            };
            assert_eq!((reason.public_code(), reason.title()), expected);
        }
    }

    #[test]
    fn shadow_mode_forgives_what_a_policy_decides_and_nothing_else() {
        assert!(Reason::PermissionMissing.is_shadowable() && Reason::RouteMissing.is_shadowable());
        for reason in [
            Reason::PathAmbiguous,
            Reason::HostUnknown,
            Reason::InternalError,
        ] {
            assert!(!reason.is_shadowable(), "{reason}");
        }
    }
}
