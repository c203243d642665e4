//! Who calls, as a decision sees it: an account with its grants already worked out.
//!
//! Made by the directory, against one compiled policy; read by the decision; written to by nobody.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use ipnet::IpNet;

use super::{
    AccountId, AccountName, Boundary, DimensionId, KeyId, PermissionSet, RoleName, TokenId,
    UnixTime,
};

/// A service account and what it holds under the policy in force.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who it is.
    pub id: AccountId,
    /// What it is called.
    pub name: AccountName,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// Where it may call from.
    pub addresses: AddressRules,
    /// Its grants and those of its groups. Never merged: each permission at each place needs one
    /// grant that gives it there.
    pub holdings: Box<[Holding]>,
    /// `name`, ready to be sent to an upstream.
    pub name_header: HeaderValue,
    /// `id`, ready to be sent to an upstream.
    pub id_header: HeaderValue,
}

/// One grant, worked out.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The role that was granted.
    pub role: RoleName,
    /// What the role gives.
    pub permissions: PermissionSet,
    /// Where it holds; empty is everywhere.
    pub limits: Box<[Limit]>,
    /// The same as written, for people and for `X-Portcullis-Boundary`.
    pub within: Boundary,
    /// The group the grant comes by, if it is not the account's own.
    pub group: Option<super::GroupName>,
}

/// The values of one dimension a grant is limited to.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The dimension.
    pub dimension: DimensionId,
    /// The values it may have, sorted.
    pub values: Box<[Box<str>]>,
}

impl Limit {
    /// Says whether `value` is one of those listed, byte for byte.
    pub fn admits(&self, value: &str) -> bool {
        self.values
            .binary_search_by(|listed| (**listed).cmp(value))
            .is_ok()
    }
}

/// Where an account may call from.
#[derive(Clone, Debug, Default)]
pub struct AddressRules(Box<[IpNet]>);

impl AddressRules {
    /// Only from these networks; from anywhere if there are none.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_boxed_slice())
    }

    /// Says whether a call from `source` is allowed.
    pub fn admit(&self, source: IpAddr) -> bool {
        // A v4 address that came in over a v6 socket is the v4 address people write in files.
        let source = source.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.contains(&source))
    }

    /// The networks; none means anywhere.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }
}

/// A caller whose credential was verified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account that calls.
    pub account: Arc<Account>,
    /// The key it used, or the key its token was made from.
    pub key: Option<KeyId>,
    /// What the credential was.
    pub evidence: Evidence,
    /// The only permissions this credential may use, whatever the account holds: the intersection
    /// of the key's and the token's own subsets. `None` is no such limit.
    pub subset: Option<PermissionSet>,
    /// The only addresses its key may be used from, besides what its account says.
    pub addresses: Option<Arc<AddressRules>>,
}

impl Caller {
    /// Says whether a call from `source` is allowed, by its account and by its key.
    pub fn admits(&self, source: IpAddr) -> bool {
        let key = self.addresses.as_ref();
        self.account.addresses.admit(source) && key.is_none_or(|rules| rules.admit(source))
    }
}

/// What the caller showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// An access token: the first 8 bytes of its SHA-256, enough to find it in a log, and its end.
    Token {
        /// First bytes of the token's digest.
        digest: [u8; 8],
        /// When it runs out.
        expires_at: UnixTime,
        /// Which one it is.
        id: TokenId,
    },
    /// A key id and its secret.
    Key,
    /// Nothing: somebody asks what would happen (`can-i`, `explain`, policy tests).
    Hypothesis,
}
