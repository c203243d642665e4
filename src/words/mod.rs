//! Names with a rule, and the few values every layer speaks of.
//!
//! Each type here keeps its own invariant behind a private field, so the rest of the house never
//! asks again whether a name is well formed. Nothing here does input or output, and nothing here
//! knows what a policy, a store or a request is.

mod boundary;
mod caller;
mod cause;
mod discreet;
mod fault;
pub mod fields;
mod ids;
mod key;
mod method;
mod names;
mod path_class;
mod permission_set;
mod rate;
mod rule;
mod spelling;
mod time;

pub use boundary::Boundary;
pub use caller::{Account, AddressRules, Caller, Evidence, Holding, Limit};
pub use cause::Cause;
pub use discreet::{discreet, without_secrets};
pub use fault::{Fault, Faults, Place, is_near, nearest, printable, steers};
pub use ids::{AccountId, RequestId, RequestIds, RouteId, TokenId, UpstreamId};
pub use key::{
    FOREIGN_SECRET_BYTES_MAX, KeyId, KeyIdError, Secret, SecretDigest, SecretDigestError,
    SecretError,
};
pub use method::{Method, MethodSet};
pub use names::{
    AccountName, ContextName, DimensionName, GroupName, NAME_PATTERN, NameError, Permission,
    PermissionPattern, RoleName, SetName, UpstreamName,
};
pub use path_class::{Allowable, ClassSet, PathClass};
pub use permission_set::{DimensionId, PermissionId, PermissionSet};
pub use rate::Rate;
pub use rule::{Level, Rule};
pub use spelling::{Folding, Spelling, UNRESERVED};
pub use time::UnixTime;

pub(crate) use key::random_base62;
