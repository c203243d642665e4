//! No store: accounts, key digests and the signing key come from files, and a reload is how they
//! change.

use std::sync::Arc;

use super::{Change, Pulse, Reader, Records, Store, StoreError};
use crate::audit::{self, Anchor, Broken, Checked, Entry, Hash};
use crate::denials::{Batch, Filter, Group, Record};
use crate::settings;
use crate::words::{RequestId, UnixTime};

/// Holds nothing and takes no change, with a sentence that says where to make it instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn load(&self) -> Result<Records, StoreError> {
        Ok(Records::default())
    }

    fn commit(&mut self, change: Option<&Change>, _: &[Entry]) -> Result<Option<u64>, StoreError> {
        // A record alone is for the log, which whoever asked writes anyway.
        let Some(change) = change else {
            return Ok(None);
        };
        let what = match change {
            Change::CreateAccount(account) => format!("account `{}`", account.name),
            Change::UpdateAccount { id, .. }
            | Change::SetEnabled { id, .. }
            | Change::DeleteAccount { id, .. } => format!("account `{id}`"),
            Change::OverrideFileAccount { name, .. } => format!("account `{name}`"),
            Change::Grant { role, .. } | Change::Ungrant { role, .. } => {
                format!("a grant of role `{role}`")
            }
            Change::CreateKey(key) | Change::RotateKey { new: key, .. } => {
                format!("the keys of account `{}`", key.account)
            }
            Change::ExpireKey { id, .. }
            | Change::UpdateKey { id, .. }
            | Change::EndFileKey { id, .. } => format!("key `{id}`"),
            Change::CreateRole(role) | Change::UpdateRole(role) => format!("role `{}`", role.name),
            Change::DeleteRole(name) => format!("role `{name}`"),
            Change::CreateGroup(group) => format!("group `{}`", group.name),
            Change::DeleteGroup(group)
            | Change::UpdateGroup { name: group, .. }
            | Change::AddMember { group, .. }
            | Change::RemoveMember { group, .. } => format!("group `{group}`"),
            Change::RevokeToken { id, .. } => format!("token `{id}`"),
            Change::GiveBack { .. } => "what tokens are worth".to_owned(),
            Change::AddSigningKey(_) | Change::ReplaceSigningKeys(_) => {
                "the signing key".to_owned()
            }
            Change::Batch(changes) => {
                let mut done = changes.iter().map(|change| self.commit(Some(change), &[]));
                return done.find(Result::is_err).unwrap_or(Ok(None));
            }
            // Bookkeeping nobody asked for by name: without a store there is none to keep.
            Change::Adopt(_) | Change::ForgetKeys { .. } | Change::Used { .. } => return Ok(None),
        };
        Err(StoreError::FilesOnly { what })
    }

    fn audit(&self, _: &audit::Filter, _: Option<u64>) -> Result<audit::Page, StoreError> {
        Ok(audit::Page::default())
    }

    fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError> {
        Ok(Anchor {
            number: 0,
            hash: Hash::ORIGIN,
            at: now,
        })
    }

    fn check_anchor(&self, _: &Anchor) -> Result<Option<Broken>, StoreError> {
        Ok(None)
    }

    fn check_audit(&self, _: Option<u64>) -> Result<Checked, StoreError> {
        Ok(Checked {
            records: 0,
            through: 0,
            done: true,
            seams: Vec::new(),
            fault: None,
        })
    }

    fn cut_audit(&mut self, _: &settings::Audit, _: UnixTime, _: &str) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn keep_denials(
        &mut self,
        _: &Batch,
        _: &settings::Denials,
        _: UnixTime,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn denial(&self, _: &RequestId) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    fn denials(&self, _: &Filter) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    fn denial_groups(&self) -> Result<Vec<Group>, StoreError> {
        Ok(Vec::new())
    }

    fn pulse(&self) -> Arc<Pulse> {
        Arc::default()
    }

    fn reader(&self) -> Option<Reader> {
        None
    }

    fn describe(&self) -> String {
        "none".to_owned()
    }
}
