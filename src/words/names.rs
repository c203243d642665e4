//! The names people write into files and type into commands.
//!
//! All of them are plain ASCII, so that they may stand in a header, a metric label, a log line and
//! a shell without quoting; a name that needs escaping somewhere is a name that is escaped wrongly
//! somewhere else.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use super::without_secrets;

/// Longest account, role, group, dimension or upstream name, in bytes: the length of a DNS label
/// and one, so that names made from host names fit.
const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {what}: expected {rule}")]
pub struct NameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

impl NameError {
    pub(super) fn new(text: &str, what: &'static str, rule: &'static str) -> Self {
        // An error may end on a terminal or in a log, so neither its length nor its bytes are
        // left to whoever wrote the text.
        // And a token that somebody took for its id is a secret.
        let text = without_secrets(text)
            .chars()
            .take(80)
            .flat_map(char::escape_default)
            .collect();
        Self { text, what, rule }
    }
}

// Rules as regular expressions, for whoever checks names elsewhere: editors.
macro_rules! name_pattern {
    () => {
        "[a-z0-9][a-z0-9._-]{0,63}"
    };
}
/// The rule of account, role, group, dimension and upstream names as a regular expression.
pub const NAME_PATTERN: &str = name_pattern!();

impl Permission {
    /// The rule of permissions as a regular expression.
    pub const PATTERN: &str = concat!(name_pattern!(), ":", name_pattern!());
}

impl PermissionPattern {
    /// The rule of what roles are written with as a regular expression.
    pub const PATTERN: &str = concat!(name_pattern!(), r":(?:", name_pattern!(), r"|\*)");
}

const NAME_RULE: &str = "1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or a digit";
const PERMISSION_RULE: &str = "`resource:action`, such as `devices:view`";
const PATTERN_RULE: &str = "`resource:action` or `resource:*`, such as `devices:*`";

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $rule:ident, $valid:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    return Ok(Self(text.into()));
                }
                Err(NameError::new(text, $what, $rule))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

names! {
    /// The name of a set of files that accounts, groups and roles are applied from.
    SetName: "the name of a set", NAME_RULE, is_name;
    /// The name of a service account. It never changes; see [`super::AccountId`] for what survives
    /// a name that is used again.
    AccountName: "an account name", NAME_RULE, is_name;
    /// The name of a role.
    RoleName: "a role name", NAME_RULE, is_name;
    /// The name of a group of accounts.
    GroupName: "a group name", NAME_RULE, is_name;
    /// The name of a dimension a boundary may limit: `tenant`, `site`, `realm`…
    DimensionName: "a dimension name", NAME_RULE, is_name;
    /// The name a server is called by on the machine of somebody who manages it.
    ContextName: "the name of a context", NAME_RULE, is_name;
    /// The name of an API behind the gateway.
    UpstreamName: "an upstream name", NAME_RULE, is_name;
    /// A right to do one thing to one kind of resource: `devices:view`.
    Permission: "a permission", PERMISSION_RULE, is_permission;
    /// A permission, or all permissions of a resource: `devices:*`. Roles are written with these.
    PermissionPattern: "a permission", PATTERN_RULE, is_pattern;
}

fn is_permission(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(resource, action)| is_name(resource) && is_name(action))
}

fn is_pattern(text: &str) -> bool {
    is_permission(text) || text.strip_suffix(":*").is_some_and(is_name)
}

impl Permission {
    /// The part before the colon.
    pub fn resource(&self) -> &str {
        self.0.split_once(':').map_or("", |(resource, _)| resource)
    }
}

impl PermissionPattern {
    /// Says whether `permission` is the one named, or one of the resource named.
    pub fn covers(&self, permission: &Permission) -> bool {
        match self.0.strip_suffix(":*") {
            Some(resource) => permission.resource() == resource,
            None => *self.0 == *permission.0,
        }
    }
}

impl From<Permission> for PermissionPattern {
    fn from(permission: Permission) -> Self {
        Self(permission.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_lower_case() {
        for good in ["a", "ci", "nightly-export", "7", "a.b_c-d", &"x".repeat(64)] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "A",
            "a b",
            "a\n",
            "é",
            "a/b",
            "a:b",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_permission_is_two_names_and_a_colon() {
        for good in [
            "devices:view",
            "portcullis.accounts:edit",
            "device-details:view",
        ] {
            assert!(good.parse::<Permission>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "devices",
            ":view",
            "devices:",
            "a:b:c",
            "devices:*",
            "*:view",
            "A:b",
        ] {
            assert!(bad.parse::<Permission>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_covers_its_own_resource_only() {
        let all: PermissionPattern = "devices:*".parse().unwrap();
        assert!(all.covers(&"devices:view".parse().unwrap()));
        assert!(!all.covers(&"devices-x:view".parse().unwrap()));
        let one: PermissionPattern = "devices:view".parse().unwrap();
        assert!(one.covers(&"devices:view".parse().unwrap()));
        assert!(!one.covers(&"devices:edit".parse().unwrap()));
        assert!("*:*".parse::<PermissionPattern>().is_err());
    }

    #[test]
    fn an_error_carries_no_control_bytes_and_no_novel() {
        let error = "\u{1b}[2J"
            .repeat(100)
            .parse::<RoleName>()
            .unwrap_err()
            .to_string();
        assert!(error.len() < 700 && !error.contains('\u{1b}'), "{error}");
    }
}
