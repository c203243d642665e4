//! Refusals, kept for a while: what a request id leads to when somebody asks "why?" afterwards.
//!
//! A request that is allowed costs nothing here. One that is refused leaves what is known of it in
//! a tray of its core and goes on; the control plane empties the trays, makes records of what lies
//! in them, files and counts those, and hands them to the store in batches.
//!
//! Everything is bounded, and strangers have bounds of their own: whoever sends a million requests
//! without a credential pushes out other strangers' refusals and nobody else's. So has each caller:
//! when there is no more room, those go first of whom there are most.
//!
//! Not here: what a refusal would be today (`explain`), and the disk (`store`).

mod filter;
mod groups;
mod heads;
mod record;
mod shelf;
mod tray;

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use filter::Filter;
pub use groups::Group;
pub use record::{Decision, Failed, Needed, Record, Refused, Text};
pub(crate) use shelf::thin;

use crate::settings;
use crate::words::{RequestId, UnixTime};
use groups::Groups;
use shelf::{Bound, Shelf};
use tray::Tray;

/// Requests that were let through and failed, or were no requests: kept so that their id leads
/// somewhere, in a room of their own, because an upstream that is down makes thousands.
const FAILURES_MAX: usize = 256;
/// Most records that wait for the store, which is asked once a second.
const UNSAVED_MAX: usize = 4096;
/// How many of them go at once when there are more: as in a room.
const UNSAVED_FREED: usize = UNSAVED_MAX / 8;

/// Refusals that are kept.
#[derive(Debug)]
pub struct Denials {
    bounds: settings::Denials,
    trays: Mutex<Vec<Arc<Mutex<Tray>>>>,
    kept: Mutex<Kept>,
    arrived: Notify,
    lost: AtomicU64,
}

/// Where one core leaves refusals.
#[derive(Clone, Debug)]
pub struct Handle {
    denials: Arc<Denials>,
    tray: Arc<Mutex<Tray>>,
}

/// What was made of it.
#[derive(Debug)]
struct Kept {
    known: Shelf,
    strangers: Shelf,
    failures: Shelf,
    groups: Groups,
    unsaved: Vec<Arc<Record>>,
    /// The number the next record gets: whoever follows asks for what came after one.
    next: u64,
}

/// What the store should take.
#[derive(Debug, Default)]
pub struct Batch {
    /// New refusals.
    pub records: Vec<Arc<Record>>,
    /// Groups that have changed.
    pub groups: Vec<Group>,
    /// The keys of groups that were let go.
    pub gone: Vec<String>,
}

impl Batch {
    /// Says whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.groups.is_empty() && self.gone.is_empty()
    }
}

/// New refusals, for whoever follows.
#[derive(Debug)]
pub struct News {
    /// What to ask for the next time.
    pub next: u64,
    /// The refusals, oldest first.
    pub records: Vec<Arc<Record>>,
}

impl Denials {
    /// Keeps refusals within `bounds`; `groups` are those a store knows.
    pub fn new(bounds: settings::Denials, groups: Vec<Group>) -> Arc<Self> {
        let strangers = bounds.bytes / 4;
        let shelf = |count, bytes| Shelf::new(Bound { count, bytes });
        Arc::new(Self {
            trays: Mutex::default(),
            kept: Mutex::new(Kept {
                known: shelf(bounds.known, bounds.bytes.saturating_sub(strangers)),
                strangers: shelf(bounds.strangers, strangers),
                failures: shelf(FAILURES_MAX, strangers),
                groups: Groups::new(bounds.groups, groups),
                unsaved: Vec::new(),
                next: 0,
            }),
            arrived: Notify::new(),
            lost: AtomicU64::new(0),
            bounds,
        })
    }

    /// How many are kept, and for how long.
    pub fn bounds(&self) -> settings::Denials {
        self.bounds
    }

    /// A tray for one more core; none if nothing is kept.
    pub fn handle(self: &Arc<Self>) -> Option<Handle> {
        self.bounds.kept.then(|| {
            let tray = Arc::new(Mutex::default());
            lock(&self.trays).push(Arc::clone(&tray));
            Handle {
                denials: Arc::clone(self),
                tray,
            }
        })
    }

    /// Returns when something lies in a tray.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// How many refusals were counted and not kept, because they came too fast.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Empties the trays, and lets go what is older than the bounds allow.
    pub fn collect(&self, now: UnixTime) {
        let trays = lock(&self.trays).clone();
        let mut new = Vec::new();
        for tray in trays {
            let left = std::mem::take(&mut *lock(&tray));
            new.extend(left.into_all());
        }
        // Ids sort by time.
        new.sort_unstable_by_key(|refused| refused.id);
        let mut kept = lock(&self.kept);
        for refused in new {
            kept.file(Arc::new(Record::of(&refused)));
        }
        let Some(oldest) = now.as_millis().checked_sub(millis(self.bounds.max_age)) else {
            return;
        };
        let oldest = UnixTime::from_millis(oldest);
        for shelf in [Rooms::Known, Rooms::Strangers, Rooms::Failures] {
            kept.shelf(shelf).let_go_before(oldest);
        }
        kept.groups.let_go_before(oldest);
    }

    /// The refusal of the request `id`, if it is still in memory.
    pub fn find(&self, id: &RequestId) -> Option<Arc<Record>> {
        let kept = lock(&self.kept);
        let mut all = kept.all();
        all.find(|record| record.request_id == *id).cloned()
    }

    /// The refusals in memory that `filter` admits, newest first, at most as many as it asks for.
    pub fn list(&self, filter: &Filter) -> Vec<Arc<Record>> {
        let mut found: Vec<_> = {
            let kept = lock(&self.kept);
            let all = kept.all().filter(|record| filter.admits(record));
            all.cloned().collect()
        };
        found.sort_unstable_by_key(|record| Reverse(record.request_id));
        found.truncate(filter.limit());
        found
    }

    /// The refusals in memory that were filed since `after`; without it none, and where to begin.
    pub fn news(&self, after: Option<u64>, filter: &Filter) -> News {
        let kept = lock(&self.kept);
        let next = kept.next;
        let Some(after) = after else {
            let records = Vec::new();
            return News { next, records };
        };
        let new = [&kept.known, &kept.strangers, &kept.failures]
            .into_iter()
            .flat_map(|shelf| shelf.since(after))
            .filter(|(_, record)| filter.admits(record));
        let mut new: Vec<_> = new.collect();
        new.sort_unstable_by_key(|(number, _)| *number);
        let skip = new.len().saturating_sub(filter.limit());
        let records = new.into_iter().skip(skip);
        let records = records.map(|(_, record)| Arc::clone(record)).collect();
        News { next, records }
    }

    /// Who was refused what and how often, most often first.
    pub fn top(&self, filter: &Filter) -> Vec<Group> {
        lock(&self.kept).groups.top(filter)
    }

    /// What the store does not know yet. What it does not take is brought again by
    /// [`Denials::not_saved`].
    pub fn unsaved(&self) -> Batch {
        let mut kept = lock(&self.kept);
        let (groups, gone) = kept.groups.unsaved();
        Batch {
            records: std::mem::take(&mut kept.unsaved),
            groups,
            gone,
        }
    }

    /// The store did not take `batch`. Records are let go then: they are in memory, and a disk that
    /// is full must not fill that too. Groups are remembered.
    pub fn not_saved(&self, batch: Batch) {
        let mut kept = lock(&self.kept);
        kept.groups.not_saved(batch.groups, batch.gone);
    }
}

/// The rooms that refusals are kept in.
#[derive(Clone, Copy)]
enum Rooms {
    Known,
    Strangers,
    Failures,
}

impl Kept {
    fn file(&mut self, record: Arc<Record>) {
        let room = match (record.is_failure(), record.is_known()) {
            (true, _) => Rooms::Failures,
            (false, true) => Rooms::Known,
            (false, false) => Rooms::Strangers,
        };
        if !record.is_failure() {
            self.groups.count(&record);
            self.save_later(&record);
        }
        let number = self.next;
        self.next += 1;
        self.shelf(room).put(number, record);
    }

    fn save_later(&mut self, record: &Arc<Record>) {
        self.unsaved.push(Arc::clone(record));
        if self.unsaved.len() > UNSAVED_MAX {
            let whose: Vec<_> = self.unsaved.iter().map(|record| record.whose()).collect();
            let mut stay = thin(&whose, UNSAVED_FREED).into_iter();
            self.unsaved.retain(|_| stay.next().unwrap_or(true));
        }
    }

    fn shelf(&mut self, room: Rooms) -> &mut Shelf {
        match room {
            Rooms::Known => &mut self.known,
            Rooms::Strangers => &mut self.strangers,
            Rooms::Failures => &mut self.failures,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        [&self.known, &self.strangers, &self.failures]
            .into_iter()
            .flat_map(Shelf::iter)
    }
}

impl Handle {
    /// Leaves a refusal. Waits for nobody: a tray is its core's own but for the moment in which it
    /// is emptied.
    pub fn leave(&self, refused: Refused) {
        let mut tray = lock(&self.tray);
        let first = tray.is_empty();
        let all_kept = tray.put(refused);
        drop(tray);
        if !all_kept {
            self.denials.lost.fetch_add(1, Ordering::Relaxed);
        }
        if first {
            self.denials.arrived.notify_one();
        }
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing panics while one of these locks is held, and what they guard is whole between any two
/// lines.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
