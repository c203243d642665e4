//! What differs between two versions of a policy, as verdicts: who may do what he could not do before,
//! and who may no longer.
//!
//! Both versions are asked about the same calls, by the function that decides about requests, so a
//! change counts by what it does and not by how it is written. The art is in the calls ([`paths`] says
//! how they are chosen): for every set of routes that a path can match there is one, for every way
//! grants and places can lie to each other there is one, and for every caller who could make a
//! difference there is one ([`callers`]): nobody, any account, the accounts and groups and roles of the
//! files, and whoever holds just enough for one version, whatever a store may say of him.
//!
//! Not compared: how long the gateway waits, and what only the settings say of listeners.

mod callers;
mod change;
mod form;
mod paths;
mod places;
mod rulings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::{Ruling, ask};
use crate::explain::{Hypothesis, supposed};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Route};
use crate::words::{Account, AccountName, Method};
use form::Forms;
use places::Request;
use rulings::compared;

pub use change::{Change, Comparison, Direction, Told, Who};

/// Most changes that are kept; the rest is counted.
pub const CHANGES_MAX: usize = 10_000;

/// One version: a policy, and the accounts of its files as the directory works them out.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its accounts.
    pub accounts: &'a BTreeMap<AccountName, Arc<Account>>,
}

/// Compares two versions.
pub fn compare(old: Side<'_>, new: Side<'_>) -> Comparison {
    let mut comparing = Comparing {
        old,
        new,
        forms: (Forms::of(old.policy), Forms::of(new.policy)),
        subjects: callers::subjects(old, new).into(),
        seen: BTreeSet::new(),
        result: Comparison::default(),
    };
    comparing.addresses();
    for host in paths::hosts(old.policy, new.policy) {
        let paths = paths::paths((old.policy, new.policy), host.as_deref());
        comparing.result.incomplete |= paths.incomplete;
        for path in &paths.list {
            comparing.path(host.as_deref(), path);
        }
    }
    let mut result = comparing.result;
    result.changes.sort();
    result
}

/// One change, but for the request that shows it.
type Seen = (Direction, Who, Option<Method>, Told, Told, Vec<String>);

struct Comparing<'a> {
    old: Side<'a>,
    new: Side<'a>,
    forms: (Forms, Forms),
    subjects: Arc<[callers::Subject]>,
    seen: BTreeSet<Seen>,
    result: Comparison,
}

/// The routes that count for one call, in both versions.
struct Both<'a> {
    old: Vec<&'a Arc<Route>>,
    new: Vec<&'a Arc<Route>>,
}

impl<'a> Comparing<'a> {
    /// Everything that is to be asked about one path.
    fn path(&mut self, host: Option<&str>, path: &str) {
        let options = self.counting(host, Method::Options, path);
        let options_changed = self.differ(&options);
        for method in Method::ALL {
            let both = self.counting(host, *method, path);
            if both.old.is_empty() && both.new.is_empty() {
                self.strays(host, (*method, path), &both);
                continue;
            }
            let changed = self.differ(&both);
            self.callers(host, (*method, path), &both, changed);
            if changed || options_changed {
                self.preflights(host, (*method, path), &both);
            }
        }
    }

    /// What no route names on either side goes through only where an upstream is in shadow as a whole.
    fn strays(&mut self, host: Option<&str>, call: (Method, &str), both: &Both<'a>) {
        let sides = [self.old.policy, self.new.policy];
        if sides
            .iter()
            .all(|policy| policy.shadow.upstreams().next().is_none())
        {
            return;
        }
        let request = places::fresh((host, call.0, call.1), both);
        self.put(&Who::Nobody, &request, (None, None));
        let account = Some(callers::bare());
        self.put(&Who::AnyAccount, &request, (account.clone(), account));
    }

    fn counting(&self, host: Option<&str>, method: Method, path: &str) -> Both<'a> {
        Both {
            old: counting(self.old.policy, host, method, path),
            new: counting(self.new.policy, host, method, path),
        }
    }

    fn differ(&self, both: &Both<'_>) -> bool {
        self.forms.0.of_all(&both.old) != self.forms.1.of_all(&both.new)
    }

    fn callers(
        &mut self,
        host: Option<&str>,
        (method, path): (Method, &str),
        both: &Both<'a>,
        changed: bool,
    ) {
        let fresh = places::fresh((host, method, path), both);
        self.classes(&fresh, both);
        if changed {
            for (who, account) in [
                (Who::Nobody, None),
                (Who::AnyAccount, Some(callers::bare())),
            ] {
                self.put(&who, &fresh, (account.clone(), account));
            }
            for side in [true, false] {
                let (holders, whole) = callers::holders((self.old, self.new), both, &fresh, side);
                self.result.incomplete |= !whole;
                for (who, accounts) in holders {
                    self.put(&who, &fresh, accounts);
                }
            }
        }
        let subjects = Arc::clone(&self.subjects);
        for subject in subjects.iter().filter(|it| changed || it.changed) {
            self.subject((host, method, path), both, subject);
        }
    }

    /// One account, group or role of the files: as it is, and with what else is needed where it may hold
    /// more.
    fn subject(
        &mut self,
        call: (Option<&str>, Method, &str),
        both: &Both<'a>,
        subject: &callers::Subject,
    ) {
        let (requests, whole) = places::requests(call, both, subject);
        self.result.incomplete |= !whole;
        let mut sides = vec![(subject.old.clone(), subject.new.clone())];
        if subject.changed && subject.open {
            let (helped, whole) = callers::helped((self.old, self.new), both, subject);
            self.result.incomplete |= !whole;
            sides.extend(helped);
        }
        for accounts in sides {
            for request in &requests {
                self.put(&subject.who, request, accounts.clone());
            }
        }
    }

    /// What pages of every origin that is named on either side, and of one that is not, are told.
    fn preflights(&mut self, host: Option<&str>, (method, path): (Method, &str), both: &Both<'a>) {
        if !self.old.policy.answers_preflights && !self.new.policy.answers_preflights {
            return;
        }
        for origin in places::origins(both) {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ORIGIN, origin);
            let announced = http::HeaderValue::from_static(method.as_str());
            headers.insert(http::header::ACCESS_CONTROL_REQUEST_METHOD, announced);
            let request = Request {
                host: host.map(str::to_owned),
                method: Method::Options,
                target: path.to_owned(),
                headers,
                values: Vec::new(),
            };
            self.put(&Who::Nobody, &request, (None, None));
        }
    }

    /// Puts one call before both versions and keeps what differs.
    fn put(
        &mut self,
        who: &Who,
        request: &Request,
        (before, after): (Option<Arc<Account>>, Option<Arc<Account>>),
    ) {
        self.result.calls += 1;
        let rule = |policy: &Policy, account: Option<Arc<Account>>| {
            ask(
                policy,
                &Hypothesis {
                    method: request.method,
                    target: &request.target,
                    host: request.host.as_deref(),
                    headers: &request.headers,
                    caller: account.map(supposed),
                    source: None,
                },
            )
        };
        let before = rule(self.old.policy, before);
        let after = rule(self.new.policy, after);
        for (change, options) in compared((self.old.policy, &before), (self.new.policy, &after)) {
            let change = Change {
                change,
                who: who.clone(),
                method: Some(request.method),
                target: Some(request.target.clone()),
                host: request.host.clone(),
                headers: request.told_headers(),
                before: told(self.old.policy, &before),
                after: told(self.new.policy, &after),
                options,
            };
            self.keep(change);
        }
    }

    fn keep(&mut self, change: Change) {
        let seen = (
            change.change,
            change.who.clone(),
            change.method,
            change.before.clone(),
            change.after.clone(),
            change.options.clone(),
        );
        if !self.seen.insert(seen) {
            return;
        }
        if self.result.changes.len() < CHANGES_MAX {
            self.result.changes.push(change);
        } else {
            self.result.left_out += 1;
        }
    }

    /// Classes of paths that all routes of one side allow, and not all of the other.
    fn classes(&mut self, request: &Request, both: &Both<'a>) {
        if both.old.is_empty() || both.new.is_empty() {
            return;
        }
        let before = rulings::allowed(self.old.policy, &both.old);
        let after = rulings::allowed(self.new.policy, &both.new);
        for (change, more) in [
            (Direction::Widened, after.minus(before)),
            (Direction::Narrowed, before.minus(after)),
        ] {
            let options: Vec<_> = more
                .iter()
                .map(|class| format!("a path may show {class}"))
                .collect();
            self.aside(change, request, options);
        }
        // A list is not the value that its text is: who may say which has changed, both ways.
        if places::splits_differ(both) {
            for change in [Direction::Widened, Direction::Narrowed] {
                let options = vec!["a list of places is read otherwise".to_owned()];
                self.aside(change, request, options);
            }
        }
    }

    /// What changed for everybody who may call at all.
    fn aside(&mut self, change: Direction, request: &Request, options: Vec<String>) {
        if options.is_empty() {
            return;
        }
        self.keep(Change {
            change,
            who: Who::AnyAccount,
            method: Some(request.method),
            target: Some(request.target.clone()),
            host: request.host.clone(),
            headers: Vec::new(),
            before: Told::default(),
            after: Told::default(),
            options,
        });
    }

    /// Where accounts may call from, whatever they ask for.
    fn addresses(&mut self) {
        for (name, after) in self.new.accounts {
            let Some(before) = self.old.accounts.get(name) else {
                continue;
            };
            let differs = |address: &IpAddr| {
                before.addresses.admit(*address) != after.addresses.admit(*address)
            };
            for address in callers::addresses(before, after)
                .into_iter()
                .filter(differs)
            {
                let widened = after.addresses.admit(address);
                let verdict = |allowed| Told {
                    verdict: if allowed {
                        "allow"
                    } else {
                        "address_not_allowed"
                    }
                    .to_owned(),
                    routes: Vec::new(),
                };
                let change = if widened {
                    Direction::Widened
                } else {
                    Direction::Narrowed
                };
                let said = self
                    .seen
                    .iter()
                    .any(|seen| seen.0 == change && seen.1 == Who::Account(name.to_string()));
                if !said {
                    self.keep(Change {
                        change,
                        who: Who::Account(name.to_string()),
                        method: None,
                        target: None,
                        host: None,
                        headers: Vec::new(),
                        before: verdict(!widened),
                        after: verdict(widened),
                        options: vec![format!("calls from {address}")],
                    });
                }
            }
        }
    }
}

fn counting<'p>(
    policy: &'p Policy,
    host: Option<&str>,
    method: Method,
    path: &str,
) -> Vec<&'p Arc<Route>> {
    match policy.find(host, method, path) {
        Ok(Lookup::Found(found)) => std::iter::once(&found.primary)
            .chain(&found.also)
            .map(|id| policy.route(*id))
            .collect(),
        Ok(Lookup::OtherMethods(_) | Lookup::Nothing) | Err(_) => Vec::new(),
    }
}

fn told(policy: &Policy, ruling: &Ruling) -> Told {
    let routes = ruling.routes.iter();
    Told {
        verdict: rulings::word(ruling),
        routes: routes.map(|id| policy.route(*id).name.clone()).collect(),
    }
}
