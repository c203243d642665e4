//! Who was refused what, and how often: counted apart from the records, which come and go.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::record::Decision;
use super::{Filter, Record, heads};
use crate::words::{AccountId, AccountName, RequestId, UnixTime};

/// When there are too many groups, so many are let go at once, as a part of the whole: those that
/// were counted least, and of these the ones that were silent for longest.
const FREED_AT_ONCE: usize = 8;
/// Most paths that are told apart of what one caller asked for where no route leads: whoever tries
/// out names must not use up the groups of others.
const PATHS_MAX: usize = 32;

/// Refusals that have caller, permission, route and reason in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The account, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The account's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// Where a stranger's requests come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// What a stranger's client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The permission that was missing, or is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// The route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How the path begins, where no route leads: `…` stands for what differs, or follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The reason.
    pub reason: String,
    /// Whether it was enforced.
    pub decision: Decision,
    /// How often.
    pub count: u64,
    /// When it was first seen.
    pub first_at: UnixTime,
    /// When it was last seen.
    pub last_at: UnixTime,
    /// The request that was last seen, to be asked about.
    pub last_request_id: RequestId,
}

impl Group {
    fn of(record: &Record) -> Self {
        let stranger = !record.is_known();
        Self {
            account: record.account.clone(),
            account_id: record.account_id.clone(),
            source: stranger.then_some(record.source),
            user_agent: record.user_agent.clone().filter(|_| stranger),
            permission: record.permission().map(str::to_owned),
            route: record.route.clone(),
            path: record
                .route
                .is_none()
                .then(|| heads::of(&record.path))
                .flatten(),
            reason: record.reason.clone(),
            decision: record.decision,
            count: 0,
            first_at: record.at,
            last_at: record.at,
            last_request_id: record.request_id,
        }
    }

    /// What tells it from all others.
    pub fn key(&self) -> String {
        let source = self.source.map(|source| source.to_string());
        let parts = [
            self.account_id.as_ref().map(AccountId::as_str),
            source.as_deref(),
            self.user_agent.as_deref(),
            self.permission.as_deref(),
            self.route.as_deref(),
            Some(self.reason.as_str()),
            Some(match self.decision {
                Decision::Deny => "deny",
                Decision::ShadowDeny => "shadow",
                // Such are not counted.
                Decision::Allow => "allow",
            }),
        ];
        // No part holds a control character.
        let key = parts.map(Option::unwrap_or_default).join("\u{1f}");
        match &self.path {
            Some(path) => key + "\u{1f}" + path,
            None => key,
        }
    }

    fn is_of_the_same_caller(&self, other: &Self) -> bool {
        self.account_id == other.account_id && self.source == other.source
    }

    /// Whether its caller was known.
    pub fn is_known(&self) -> bool {
        self.account_id.is_some()
    }
}

/// All groups: of known callers and of strangers, each with a bound of their own.
#[derive(Debug)]
pub(super) struct Groups {
    most: usize,
    known: HashMap<String, Counted>,
    strangers: HashMap<String, Counted>,
    gone: Vec<String>,
}

#[derive(Debug)]
struct Counted {
    group: Group,
    unsaved: bool,
}

impl Groups {
    pub(super) fn new(most: usize, groups: Vec<Group>) -> Self {
        let mut all = Self {
            most,
            known: HashMap::new(),
            strangers: HashMap::new(),
            gone: Vec::new(),
        };
        for group in groups {
            let unsaved = false;
            all.side(group.is_known())
                .insert(group.key(), Counted { group, unsaved });
        }
        all
    }

    fn side(&mut self, known: bool) -> &mut HashMap<String, Counted> {
        match known {
            true => &mut self.known,
            false => &mut self.strangers,
        }
    }

    pub(super) fn count(&mut self, record: &Record) {
        let mut new = Group::of(record);
        let mut key = new.key();
        let most = self.most;
        let side = self.side(record.is_known());
        if new.path.is_some() && !side.contains_key(&key) {
            let others = side.values().map(|counted| &counted.group);
            let others = others.filter(|other| other.path.is_some());
            if others
                .filter(|other| other.is_of_the_same_caller(&new))
                .count()
                >= PATHS_MAX
            {
                new.path = Some(heads::ANY.to_owned());
                key = new.key();
            }
        }
        if side.len() >= most && !side.contains_key(&key) {
            let gone = let_go(side, (most / FREED_AT_ONCE).max(1));
            self.gone.extend(gone);
        }
        let side = self.side(record.is_known());
        let counted = side.entry(key).or_insert(Counted {
            group: new,
            unsaved: true,
        });
        let group = &mut counted.group;
        group.count += 1;
        if record.at >= group.last_at {
            group.last_at = record.at;
            group.last_request_id = record.request_id;
        }
        group.first_at = group.first_at.min(record.at);
        counted.unsaved = true;
    }

    pub(super) fn let_go_before(&mut self, oldest: UnixTime) {
        for side in [&mut self.known, &mut self.strangers] {
            let gone = &mut self.gone;
            side.retain(|key, counted| {
                let stays = counted.group.last_at >= oldest;
                if !stays {
                    gone.push(key.clone());
                }
                stays
            });
        }
    }

    pub(super) fn top(&self, filter: &Filter) -> Vec<Group> {
        let all = self.known.values().chain(self.strangers.values());
        let groups = all.map(|counted| counted.group.clone());
        filter.top(groups.collect())
    }

    /// What changed since this was last asked.
    pub(super) fn unsaved(&mut self) -> (Vec<Group>, Vec<String>) {
        let all = self.known.values_mut().chain(self.strangers.values_mut());
        let unsaved = all.filter(|counted| counted.unsaved).map(|counted| {
            counted.unsaved = false;
            counted.group.clone()
        });
        (unsaved.collect(), std::mem::take(&mut self.gone))
    }

    pub(super) fn not_saved(&mut self, groups: Vec<Group>, gone: Vec<String>) {
        for group in groups {
            let key = group.key();
            if let Some(counted) = self.side(group.is_known()).get_mut(&key) {
                counted.unsaved = true;
            }
        }
        // What is gone from memory and not from the store goes with its age.
        self.gone.extend(gone.into_iter().take(self.most));
    }
}

fn let_go(side: &mut HashMap<String, Counted>, free: usize) -> Vec<String> {
    let mut rank: Vec<_> = side
        .iter()
        .map(|(key, counted)| (counted.group.count, counted.group.last_at, key.clone()))
        .collect();
    rank.sort_unstable();
    let gone: Vec<_> = rank.into_iter().take(free).map(|(.., key)| key).collect();
    for key in &gone {
        side.remove(key);
    }
    gone
}
