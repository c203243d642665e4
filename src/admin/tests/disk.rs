//! A disk that takes nothing, fails at the end or has room again, and what is held, owed and refused
//! meanwhile.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::world::{FILED, POLICY, START, World, compiled};
use crate::admin::owed::OWED_MAX;
use crate::admin::service::{Parts, Role, Service};
use crate::admin::{ErrorKind, open};
use crate::audit::{Anchor, Broken, Checked, Entry, Filter as AuditFilter, Page, Row};
use crate::clock::Clock;
use crate::denials::{Batch, Filter, Group, Record};
use crate::settings::{self, Settings};
use crate::store::{Change, NoStore, Pulse, Reader, Records, Store, StoreError};
use crate::words::{KeyId, RequestId, Secret, UnixTime};

/// How the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// There is no room, but for so many pieces that can be given up.
    Full(usize),
    /// Changes are written and said not to be.
    InDoubt,
    /// No room for changes; records alone still fit.
    Tight,
}

/// A store on such a disk.
#[derive(Default)]
struct Disk {
    fault: Mutex<Option<Fault>>,
    /// How often all of the store was read.
    reads: AtomicUsize,
    on_read: Mutex<Option<Box<dyn Fn() + Send>>>,
}

struct Failing {
    store: Box<dyn Store>,
    disk: Arc<Disk>,
}

impl Failing {
    fn under(world: &World) -> Arc<Disk> {
        let disk = Arc::new(Disk::default());
        let mut inner = world.service.lock().unwrap();
        let store = std::mem::replace(&mut inner.store, Box::new(NoStore));
        let disk_of_store = Arc::clone(&disk);
        inner.store = Box::new(Self {
            store,
            disk: disk_of_store,
        });
        disk
    }

    fn full() -> StoreError {
        StoreError::Full {
            path: Path::new("p.db").into(),
        }
    }
}

impl Disk {
    fn is(&self, fault: impl Into<Option<Fault>>) {
        *self.fault.lock().unwrap() = fault.into();
    }
}

impl Store for Failing {
    fn load(&self) -> Result<Records, StoreError> {
        self.disk.reads.fetch_add(1, Relaxed);
        if let Some(look) = &*self.disk.on_read.lock().unwrap() {
            look();
        }
        self.store.load()
    }

    fn commit(
        &mut self,
        change: Option<&Change>,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        let fault = *self.disk.fault.lock().unwrap();
        match (fault, change) {
            (Some(Fault::Full(_)), _) | (Some(Fault::Tight), Some(_)) => Err(Self::full()),
            (Some(Fault::InDoubt), _) => {
                self.store.commit(change, entries)?;
                Err(StoreError::Engine {
                    transient: true,
                    in_doubt: true,
                    source: "the disk failed".into(),
                })
            }
            (None, _) | (Some(Fault::Tight), None) => self.store.commit(change, entries),
        }
    }

    fn make_room(&mut self) -> bool {
        let mut fault = self.disk.fault.lock().unwrap();
        match *fault {
            Some(Fault::Full(1)) => *fault = None,
            Some(Fault::Full(pieces)) if pieces > 1 => *fault = Some(Fault::Full(pieces - 1)),
            Some(Fault::Full(_) | Fault::InDoubt | Fault::Tight) | None => return false,
        }
        true
    }

    fn audit(&self, filter: &AuditFilter, after: Option<u64>) -> Result<Page, StoreError> {
        self.store.audit(filter, after)
    }

    fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError> {
        self.store.audit_anchor(now)
    }

    fn check_anchor(&self, anchor: &Anchor) -> Result<Option<Broken>, StoreError> {
        self.store.check_anchor(anchor)
    }

    fn check_audit(&self, after: Option<u64>) -> Result<Checked, StoreError> {
        self.store.check_audit(after)
    }

    fn cut_audit(
        &mut self,
        bounds: &settings::Audit,
        now: UnixTime,
        instance: &str,
    ) -> Result<u64, StoreError> {
        self.store.cut_audit(bounds, now, instance)
    }

    fn keep_denials(
        &mut self,
        batch: &Batch,
        bounds: &settings::Denials,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.store.keep_denials(batch, bounds, now)
    }

    fn denial(&self, id: &RequestId) -> Result<Option<Record>, StoreError> {
        self.store.denial(id)
    }

    fn denials(&self, filter: &Filter) -> Result<Vec<Record>, StoreError> {
        self.store.denials(filter)
    }

    fn denial_groups(&self) -> Result<Vec<Group>, StoreError> {
        self.store.denial_groups()
    }

    fn pulse(&self) -> Arc<Pulse> {
        self.store.pulse()
    }

    fn reader(&self) -> Option<Reader> {
        self.store.reader()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// Asks for what is refused for the disk's sake; what is said of it.
fn not_written(world: &World, operation: serde_json::Value) -> String {
    let (kind, said) = world.refused(operation);
    assert_eq!(kind, ErrorKind::Unavailable, "{said}");
    said
}

fn expire(key: KeyId) -> serde_json::Value {
    json!({ "operation": "keys_expire", "key": key })
}

const HOLDS: &str = "This holds from now on all the same";
const NOTHING: &str = "Nothing was done";

#[test]
fn a_store_is_read_again_only_where_the_failure_left_doubt_and_the_denial_is_in_force_by_then() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let (first, second) = (world.key("ci"), world.key("ci"));
    let disk = Failing::under(&world);
    disk.is(Fault::Full(0));
    assert!(not_written(&world, expire(first)).contains(HOLDS));
    assert!(!world.is_alive(first));
    not_written(
        &world,
        json!({ "operation": "accounts_create", "name": "x" }),
    );
    assert_eq!(disk.reads.load(Relaxed), 0, "what has no room left nothing");
    // It is not said to be done, however often it is asked for, before it is written.
    assert!(not_written(&world, expire(first)).contains(HOLDS));
    disk.is(None);
    world.done(expire(first));

    disk.is(Fault::InDoubt);
    let (handle, now) = (Arc::clone(world.service.handle()), world.clock.now());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    *disk.on_read.lock().unwrap() = Some(Box::new(move || {
        let state = handle.snapshot();
        let key = state.directory.key(&second).unwrap();
        noted.lock().unwrap().push(key.is_expired(now));
    }));
    assert!(not_written(&world, expire(second)).contains(HOLDS));
    assert_eq!(
        *seen.lock().unwrap(),
        [true],
        "first it holds, then all is read"
    );
    assert!(!world.is_alive(second));
    // What gives and was written after all is in force, whatever was said.
    disk.is(None);
    world.done(expire(second));
    disk.is(Fault::InDoubt);
    not_written(
        &world,
        json!({ "operation": "accounts_create", "name": "x" }),
    );
    assert_eq!(world.account("x").name.as_str(), "x");
    disk.is(None);
    let world = world.reopen(&[POLICY]);
    assert!(!world.is_alive(first) && !world.is_alive(second));
}

#[test]
fn while_something_is_owed_nothing_is_given_and_denials_wait_in_their_order() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let key = world.key("ci");
    world
        .done(json!({ "operation": "roles_create", "name": "r", "permissions": ["devices:view"] }));
    let disk = Failing::under(&world);
    disk.is(Fault::Tight);
    let disable = json!({ "operation": "accounts_disable", "name": "ci" });
    for denial in [
        json!({ "operation": "roles_delete", "name": "r" }),
        disable.clone(),
        disable,
        expire(key),
    ] {
        assert!(not_written(&world, denial).contains(HOLDS));
    }
    assert_eq!(
        world.service.lock().unwrap().owed.len(),
        3,
        "the same twice is one"
    );
    for gift in [
        json!({ "operation": "accounts_enable", "name": "ci" }),
        json!({ "operation": "roles_create", "name": "r", "permissions": ["devices:view"] }),
        json!({ "operation": "keys_create", "account": "ci" }),
    ] {
        assert!(not_written(&world, gift).contains(NOTHING));
    }
    let error = world.reload(&[POLICY, FILED]).unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
    assert!(!world.account("ci").enabled && !world.is_alive(key));
    disk.is(None);
    world.done(json!({ "operation": "accounts_enable", "name": "ci" }));
    let rows = {
        let inner = world.service.lock().unwrap();
        inner.store.audit(&AuditFilter::default(), None).unwrap()
    };
    let told = |row: &Row| {
        let shown = row.shown();
        let done = shown["event.outcome"] == "success";
        done.then(|| shown["event.name"].as_str().unwrap().to_owned())
    };
    let told: Vec<_> = rows.rows.iter().filter_map(told).take(4).collect();
    assert_eq!(
        told,
        [
            "audit.account.enable",
            "audit.key.expire",
            "audit.account.disable",
            "audit.role.delete"
        ]
    );
    let world = world.reopen(&[POLICY]);
    assert!(world.account("ci").enabled && !world.is_alive(key));
}

#[test]
fn what_may_let_in_what_a_file_says_waits_for_the_disk() {
    let (id, secret) = (KeyId::random(), Secret::random());
    let filed = format!(
        "accounts:\n  filed:\n    keys: [{{ id: {id}, digest: \"{}\", expires_at: 2027-01-31T00:00:00Z }}]\n",
        secret.digest()
    );
    let world = World::new(&[POLICY, &filed]);
    world.create("twin", "operator");
    world.create("ci", "operator");
    let (twin, ci) = (world.key("twin"), world.key("ci"));
    for (name, role) in [("both", "reader"), ("ours", "reader")] {
        let grants = json!([{ "role": role }]);
        world.done(json!({ "operation": "groups_create", "name": name, "grants": grants }));
    }
    // Written into the files since: an account, a group, and the key of an account of the store.
    let more = format!(
        "accounts:\n  twin: {{ grants: [{{ role: reader }}] }}\n  other:\n    keys: [{{ id: {ci}, digest: \"{}\" }}]\ngroups:\n  both: {{ members: [ci], grants: [{{ role: operator }}] }}\n",
        secret.digest()
    );
    let filed = format!("{filed}{}", more.trim_start_matches("accounts:\n"));
    let world = world.reopen(&[POLICY, &filed]);
    let disk = Failing::under(&world);
    disk.is(Fault::Full(0));
    for gives in [
        json!({ "operation": "accounts_delete", "name": "twin" }),
        json!({ "operation": "accounts_delete", "name": "ci" }),
        json!({ "operation": "groups_delete", "name": "both" }),
        json!({ "operation": "keys_expire", "key": id, "at": "2028-01-31T00:00:00Z" }),
    ] {
        let said = not_written(&world, gives.clone());
        assert!(!said.contains(HOLDS), "{gives}: {said}");
    }
    assert!(world.is_alive(twin));
    for denies in [
        json!({ "operation": "accounts_disable", "name": "twin" }),
        json!({ "operation": "groups_delete", "name": "ours" }),
        expire(id),
    ] {
        let said = not_written(&world, denies.clone());
        assert!(said.contains(HOLDS), "{denies}: {said}");
    }
    assert!(!world.is_alive(twin) && !world.is_alive(id));
}

#[test]
fn a_full_disk_gives_up_its_room_for_what_denies_and_for_nothing_else() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let key = world.key("ci");
    let disk = Failing::under(&world);
    disk.is(Fault::Full(2));
    not_written(
        &world,
        json!({ "operation": "keys_create", "account": "ci" }),
    );
    assert_eq!(*disk.fault.lock().unwrap(), Some(Fault::Full(2)));
    world.done(expire(key));
    disk.is(None);
    assert!(!world.reopen(&[POLICY]).is_alive(key));
}

#[test]
fn what_is_owed_has_a_bound() {
    let world = World::new(&[POLICY]);
    let disk = Failing::under(&world);
    disk.is(Fault::Full(0));
    let revoke = |number: usize| {
        let id = format!("{number:0>22}");
        not_written(&world, json!({ "operation": "tokens_revoke", "id": id }))
    };
    for number in 0..OWED_MAX {
        assert!(revoke(number).contains(HOLDS), "{number}");
    }
    assert!(revoke(OWED_MAX).contains(NOTHING));
    assert_eq!(world.service.lock().unwrap().owed.len(), OWED_MAX);
}

#[test]
fn a_server_starts_on_a_disk_that_takes_nothing_and_writes_what_it_owes_later() {
    let world = World::new(&[POLICY, FILED]);
    let before = world.account("nightly");
    let key = world.key("nightly");
    let World {
        folder, service, ..
    } = world;
    drop(service);
    let file = folder.path().join("portcullis.yaml");
    let settings = Settings::load(&file).unwrap();
    let start = |policy: &[&str], fault: Option<Fault>| {
        let disk = Arc::new(Disk::default());
        disk.is(fault);
        let role = (Clock::still(START), Role::Server);
        let parts = open::parts(&settings, Ok(compiled(policy)), role).unwrap();
        let store = Box::new(Failing {
            store: parts.store,
            disk: Arc::clone(&disk),
        });
        (Service::start(Parts { store, ..parts }).unwrap(), disk)
    };
    // The account is gone from the files, and another is new there.
    let new = FILED.replace("nightly", "daily");
    let (service, disk) = start(&[POLICY, &new], Some(Fault::Full(0)));
    let state = service.handle().snapshot();
    assert!(state.directory.key(&key).is_none());
    assert!(state.directory.account_named("daily").is_none());
    disk.is(None);
    assert_eq!(service.flush_last_used().unwrap(), 0);
    drop(service);
    // What went is gone for good, though its file is back.
    let (service, _) = start(&[POLICY, FILED], None);
    let state = service.handle().snapshot();
    assert!(state.directory.key(&key).is_none());
    assert_ne!(
        state.directory.account_named("nightly").unwrap().id,
        before.id
    );
    let inner = service.lock().unwrap();
    let rows = inner.store.audit(&AuditFilter::default(), None).unwrap();
    let starts = rows
        .rows
        .iter()
        .filter(|row| row.shown()["event.name"] == "audit.gateway.start");
    assert_eq!(starts.count(), 3);
}
