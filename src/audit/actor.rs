//! Who asks for something: a process on this machine, an account, or the gateway itself.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

use crate::words::{AccountId, AccountName, KeyId, RequestId};

/// Where user ids have names. What only a directory service knows has a number and no name here.
const USERS_FILE: &str = "/etc/passwd";
/// Most that is read of it, in bytes: some ten thousand users.
const USERS_BYTES_MAX: u64 = 1024 * 1024;

/// What stands before the name of an account.
const ACCOUNT: &str = "account ";

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A process on this machine, on the control socket.
    ControlSocket {
        /// Its user id, as the kernel says.
        uid: u32,
        /// What that user is called here.
        user: Option<String>,
        /// Its process id, as the kernel says.
        pid: Option<i32>,
    },
    /// A command that opened the store itself.
    Local {
        /// The user id it runs as.
        uid: u32,
        /// What that user is called here.
        user: Option<String>,
    },
    /// An account that called the admin API.
    Api {
        /// The account.
        account: AccountName,
        /// Its id, which outlives the name.
        account_id: AccountId,
        /// The key it used, or that its token was made from.
        key: Option<KeyId>,
        /// Where the call came from.
        address: IpAddr,
        /// The call.
        request_id: RequestId,
    },
    /// An account that gave back a token of its own, at the revocation endpoint.
    Client {
        /// The account.
        account: AccountName,
        /// Its id, which outlives the name.
        account_id: AccountId,
        /// The key it showed.
        key: Option<KeyId>,
        /// Where the request came from.
        address: IpAddr,
        /// The request.
        request_id: RequestId,
    },
    /// Somebody at the admin API who is nobody we know.
    Stranger {
        /// Where the call came from.
        address: IpAddr,
        /// The call.
        request_id: RequestId,
    },
    /// The gateway itself: at start, or because a file changed.
    Gateway,
}

impl Actor {
    /// The peer of a control socket.
    pub fn peer(uid: u32, pid: Option<i32>) -> Self {
        Self::ControlSocket {
            uid,
            user: user_name(uid),
            pid,
        }
    }

    /// What records are found by: the user's name, or his id where it has none, the account's name,
    /// a stranger's address, or `gateway`.
    pub fn label(&self) -> String {
        match self {
            Self::ControlSocket { uid, user, .. } | Self::Local { uid, user } => {
                user.clone().unwrap_or_else(|| uid.to_string())
            }
            Self::Api { account, .. } | Self::Client { account, .. } => account.to_string(),
            Self::Stranger { address, .. } => address.to_string(),
            Self::Gateway => "gateway".to_owned(),
        }
    }

    /// The account that was asked as, in what [`Actor`]s say of themselves as text.
    pub fn account_in(said: &str) -> Option<AccountName> {
        said.strip_prefix(ACCOUNT)?.parse().ok()
    }

    /// Whoever runs this process.
    pub fn local() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        Self::Local {
            uid,
            user: user_name(uid),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlSocket { uid, user, .. } | Self::Local { uid, user } => match user {
                Some(user) => write!(f, "user {user}"),
                None => write!(f, "user id {uid}"),
            },
            Self::Api { account, .. } | Self::Client { account, .. } => {
                write!(f, "{ACCOUNT}{account}")
            }
            Self::Stranger { address, .. } => write!(f, "a stranger at {address}"),
            Self::Gateway => f.write_str("the gateway"),
        }
    }
}

/// What the user with this id is called on this machine, if its file of users says so.
fn user_name(uid: u32) -> Option<String> {
    let mut text = String::new();
    let file = File::open(USERS_FILE).ok()?;
    file.take(USERS_BYTES_MAX).read_to_string(&mut text).ok()?;
    name_in(&text, uid)
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    let user = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })?;
    let plain = |c: char| c.is_ascii_graphic();
    (!user.is_empty() && user.chars().all(plain)).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_the_name_that_stands_beside_it() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# a remark\nops:x:1000:1000::/:\n:x:7:7::/:\n";
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 1000).as_deref(), Some("ops"));
        assert_eq!(name_in(users, 7), None);
        assert_eq!(name_in(users, 100), None);
    }

    #[test]
    fn a_name_that_steers_a_terminal_is_no_name() {
        assert_eq!(name_in("a\u{1b}b:x:1:1::/:\n", 1), None);
    }
}
