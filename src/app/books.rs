//! Keeping the books: figures that are not counted as they happen, and what is written back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admin::Service;
use crate::clock::Clock;
use crate::forward::Upstreams;
use crate::settings::Settings;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{
    AccountLabels, AuditFigures, CacheFigures, DirectoryFigures, Metrics,
};
use crate::throttle::{Rates, Throttle};
use crate::words::{KeyId, UnixTime};

/// How often the last use of keys is written back. A minute is finer than anybody asks "when was
/// this key last used", and one transaction a minute is nothing to a disk.
const WRITE_BACK_INTERVAL: Duration = Duration::from_secs(60);

/// How often the audit trail is cut to its bounds, and keys that ended long ago are forgotten. Both are
/// kept by the day.
const CUT_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How often the inventory is counted: as often as anybody scrapes. Counting 100,000 accounts takes
/// some milliseconds of the control plane.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Most keys that are said to end soon at one time: a thousand keys that were made together are told
/// over a minute, not in one burst.
const WARNINGS_AT_ONCE: usize = 100;

/// How often somebody looks whether the signing key is old: as fine as its age may be set.
const SIGNING_KEY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long after a change the inventory is counted: a script that makes a thousand accounts has it
/// counted a few times, and whoever looks after one change finds it.
const CHANGE_REST: Duration = Duration::from_millis(250);

/// The metrics of a gateway with these settings.
pub(super) fn metrics(settings: &Settings, service: &Arc<Service>) -> Arc<Metrics> {
    let accounts = match settings.metrics {
        metrics if metrics.accounts => AccountLabels::UpTo(metrics.max_accounts),
        _ => AccountLabels::Off,
    };
    let metrics = Arc::new(Metrics::new(accounts));
    for setting in &settings.weakened {
        metrics.unsafe_setting(setting);
    }
    let verifier = Arc::clone(service.verifier());
    metrics.watch_token_cache(move || CacheFigures {
        hits: verifier.cache_hits(),
        misses: verifier.cache_misses(),
        evictions: verifier.cache_evictions(),
        entries: figure(verifier.cache_entries()),
    });
    metrics
}

/// Lets the metrics see what counts by itself.
pub(super) fn watch(
    metrics: &Metrics,
    (log, service, upstreams): (&Log, &Arc<Service>, &Upstreams),
) {
    metrics.watch_log(log.dropped());
    let denials = Arc::clone(service.denials());
    metrics.watch_denials(move || denials.lost());
    metrics.watch_upstreams(upstreams.each());
    let pulse = Arc::clone(service.store_pulse());
    metrics.watch_store(move || pulse.failures());
    let service = Arc::clone(service);
    metrics.watch_audit(move || {
        let trail = service.audit_figures();
        AuditFigures {
            records: trail.records(),
            failures: trail.failures(),
            head: trail.head(),
            head_at: trail.head_at(),
            exported: trail.exported_through(),
        }
    });
}

/// What counts wrong credentials and requests.
pub(super) fn limits(settings: &Settings, metrics: &Metrics) -> (Arc<Throttle>, Arc<Rates>) {
    let throttle = Arc::new(Throttle::new());
    let (failures, throttlings) = (Arc::clone(&throttle), Arc::clone(&throttle));
    metrics.watch_sources(
        move || failures.failures(),
        move || throttlings.throttlings(),
    );
    let rates = Rates::new(settings.rates.account, settings.rates.token_endpoint);
    (throttle, Arc::new(rates))
}

/// Writes back the last use of keys now and then, cuts the audit trail to its bounds, and keeps the
/// inventory figures fresh.
pub(super) async fn keep(
    service: Arc<Service>,
    metrics: Arc<Metrics>,
    (clock, life): (Clock, Duration),
    stop: CancellationToken,
) {
    let mut write_back = tokio::time::interval(WRITE_BACK_INTERVAL);
    let mut count = tokio::time::interval(COUNT_INTERVAL);
    let mut cut = tokio::time::interval(CUT_INTERVAL);
    let mut sign = tokio::time::interval(SIGNING_KEY_INTERVAL);
    let mut changes = service.handle().changes();
    let (mut soon, mut is_over) = (false, false);
    let mut warned = Warned::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sign.tick() => {
                let service = Arc::clone(&service);
                let kept = tokio::task::spawn_blocking(move || service.keep_signing_key(life)).await;
                match kept {
                    Ok(Ok(true)) => tracing::info!("a new signing key signs from now on"),
                    Ok(Err(error)) => tracing::warn!(%error, "the signing key is old and could not be replaced"),
                    Ok(Ok(false)) | Err(_) => {}
                }
            }
            changed = changes.changed(), if !soon && !is_over => {
                is_over = changed.is_err();
                soon = true;
                count.reset_after(CHANGE_REST);
            }
            _ = count.tick() => {
                soon = false;
                changes.mark_unchanged();
                metrics.directory_loaded(&figures(&service, clock.now()));
                metrics.store_is_up(service.store_pulse().is_up());
                warned.warn(&service, clock.now());
            }
            _ = cut.tick() => {
                let service = Arc::clone(&service);
                let cut = tokio::task::spawn_blocking(move || {
                    let cut = service.cut_audit();
                    service.forget_ended_keys().and(cut)
                }).await;
                if let Ok(Err(error)) = cut {
                    tracing::warn!(%error, "the audit trail was not cut to its bounds, or keys that ended long ago were not forgotten");
                }
            }
            _ = write_back.tick() => {
                let service = Arc::clone(&service);
                let written = tokio::task::spawn_blocking(move || {
                    let told = service.tell_repeats();
                    service.flush_last_used().and_then(|used| told.map(|_| used))
                });
                let Ok(written) = written.await else {
                    continue;
                };
                metrics.store_is_up(written.is_ok());
                if let Err(error) = written {
                    tracing::warn!(%error, "the last use of keys, or what was asked again, was not written back");
                }
            }
        }
    }
}

/// Keys whose end was spoken of, each with that end: a key that is extended is spoken of again.
#[derive(Debug, Default)]
struct Warned(HashMap<KeyId, UnixTime>);

impl Warned {
    /// Says once of each key that ends soon that it does.
    fn warn(&mut self, service: &Service, now: UnixTime) {
        let soon = now.plus(service.keys().warn_before);
        let state = service.handle().snapshot();
        self.0.retain(|_, end| *end > now);
        let ending = state.directory.keys().filter_map(|key| {
            let end = key.expires_at.filter(|end| *end > now && *end <= soon)?;
            (self.0.get(&key.id) != Some(&end)).then_some((key, end))
        });
        let ending: Vec<_> = ending.take(WARNINGS_AT_ONCE).collect();
        for (key, end) in ending {
            tracing::warn!(
                key = %key.id,
                account = %key.account.name,
                expires_at = %end,
                "a key ends soon: `portcullis keys rotate` makes the next one"
            );
            self.0.insert(key.id, end);
        }
    }
}

fn figures(service: &Service, now: UnixTime) -> DirectoryFigures {
    let state = service.handle().snapshot();
    let directory = &state.directory;
    let enabled = directory
        .accounts()
        .filter(|account| account.enabled)
        .count();
    let expired = directory.keys().filter(|key| key.is_expired(now)).count();
    let soon = now.plus(service.keys().warn_before);
    let expiring = directory.keys();
    let expiring = expiring.filter(|key| !key.is_expired(now) && key.is_expired(soon));
    let ends = directory.keys().filter_map(|key| key.expires_at);
    DirectoryFigures {
        accounts_enabled: figure(enabled),
        accounts_disabled: figure(directory.accounts_len().saturating_sub(enabled)),
        keys_active: figure(directory.keys_len().saturating_sub(expired)),
        keys_expired: figure(expired),
        keys_expiring: figure(expiring.count()),
        next_expiry: ends.filter(|at| *at > now).min(),
    }
}

fn figure(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admin::{Actor, Operation, open_server};
    use crate::policy::Policy;

    const START: UnixTime = UnixTime::from_secs(1_795_302_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A service with an account, where the end of a key is spoken of three days before.
    fn service(folder: &tempfile::TempDir) -> Service {
        let file = folder.path().join("portcullis.yaml");
        std::fs::write(&file, "store: sqlite:p.db\nkeys: { warn_before: 3d }").unwrap();
        let settings = Settings::load(&file).unwrap();
        let policy = Arc::new(Policy::default());
        let service = open_server(&settings, policy, Clock::still(START)).unwrap();
        ask(
            &service,
            json!({ "operation": "accounts_create", "name": "ci" }),
        );
        service
    }

    fn ask(service: &Service, operation: Value) -> Value {
        let operation: Operation = serde_json::from_value(operation).unwrap();
        service.execute(operation, &Actor::Gateway).unwrap()
    }

    fn key(service: &Service, end: Option<UnixTime>) -> KeyId {
        let create = json!({ "operation": "keys_create", "account": "ci", "expires_at": end });
        ask(service, create)["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The keys that are spoken of now, and were not before.
    fn spoken(warned: &mut Warned, service: &Service, now: UnixTime) -> Vec<KeyId> {
        let before = warned.0.clone();
        warned.warn(service, now);
        let new = warned.0.iter();
        let new = new.filter(|(id, end)| before.get(*id) != Some(*end));
        new.map(|(id, _)| *id).collect()
    }

    #[test]
    fn a_key_that_ends_soon_is_spoken_of_once_and_again_if_it_gets_another_end() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(&folder);
        let soon = key(&service, Some(START.plus(2 * DAY)));
        let later = key(&service, Some(START.plus(5 * DAY)));
        key(&service, None);
        let mut warned = Warned::default();
        assert_eq!(spoken(&mut warned, &service, START), [soon]);
        assert_eq!(spoken(&mut warned, &service, START), []);
        let end = START.plus(2 * DAY + Duration::from_secs(60));
        ask(
            &service,
            json!({ "operation": "keys_expire", "key": soon, "at": end }),
        );
        assert_eq!(spoken(&mut warned, &service, START), [soon]);
        assert_eq!(spoken(&mut warned, &service, START.plus(3 * DAY)), [later]);
        // Of what is over nothing is kept.
        assert_eq!(warned.0.len(), 1);
    }

    #[test]
    fn many_keys_that_end_together_are_not_told_in_one_burst() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(&folder);
        for _ in 0..WARNINGS_AT_ONCE + 20 {
            key(&service, Some(START.plus(DAY)));
        }
        let mut warned = Warned::default();
        for new in [WARNINGS_AT_ONCE, 20, 0] {
            assert_eq!(spoken(&mut warned, &service, START).len(), new);
        }
    }

    #[test]
    fn the_figures_tell_keys_that_end_soon_from_those_that_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(&folder);
        for days in [1, 2, 9] {
            key(&service, Some(START.plus(days * DAY)));
        }
        key(&service, None);
        let told = |now| {
            let figures = figures(&service, now);
            let keys = (
                figures.keys_active,
                figures.keys_expired,
                figures.keys_expiring,
            );
            (keys, figures.next_expiry)
        };
        let end = |days: u32| Some(START.plus(days * DAY));
        assert_eq!(told(START), ((4, 0, 2), end(1)));
        assert_eq!(told(START.plus(DAY)), ((3, 1, 1), end(2)));
        assert_eq!(told(START.plus(9 * DAY)), ((1, 3, 0), None));
        ask(
            &service,
            json!({ "operation": "accounts_disable", "name": "ci" }),
        );
        let figures = figures(&service, START);
        assert_eq!(
            (figures.accounts_enabled, figures.accounts_disabled),
            (0, 1)
        );
    }
}
