//! What is kept of refusals, and of whose, when there are too many.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::decision::Denial;
use crate::directory::Directory;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::reason::Reason;
use crate::words::{Account, RequestIds};

const POLICY: &str = r"
accounts:
  ci: { description: Builds, grants: [] }
  cd: { description: Ships, grants: [] }
";

fn account(name: &str) -> Arc<Account> {
    let file = SourceFile {
        path: Path::new("p.yaml").into(),
        text: POLICY.to_owned(),
    };
    let policy = compile(&[file], &Context::default()).unwrap();
    let directory = Directory::of_files(&policy).directory;
    Arc::clone(directory.account_named(name).unwrap())
}

fn bounds() -> settings::Denials {
    settings::Denials {
        known: 80,
        strangers: 40,
        groups: 16,
        ..settings::Denials::default()
    }
}

fn at(ms: u64) -> UnixTime {
    UnixTime::from_millis(1_795_302_000_000 + ms)
}

struct Maker(RequestIds);

impl Maker {
    fn new() -> Self {
        Self(RequestIds::new())
    }

    fn refused(&mut self, account: Option<&Arc<Account>>, reason: Reason, ms: u64) -> Refused {
        Refused {
            id: self.0.next(at(ms)),
            at: at(ms),
            method: http::Method::GET,
            text: Text::new(b"/v1/items/7", b"a.test", b"curl/8"),
            source: "192.0.2.7".parse().unwrap(),
            route: None,
            account: account.cloned(),
            key: None,
            denial: Box::new(Denial::new(reason)),
            shadow: false,
            failed: None,
        }
    }
}

fn listed(denials: &Denials, filter: &Filter) -> Vec<Arc<Record>> {
    denials.collect(at(10_000));
    denials.list(filter)
}

#[test]
fn a_refusal_is_found_by_its_id_and_listed_newest_first() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    let ci = account("ci");
    let ids: Vec<_> = (0..3)
        .map(|ms| {
            let refused = make.refused(Some(&ci), Reason::PermissionMissing, ms);
            let id = refused.id;
            handle.leave(refused);
            id
        })
        .collect();
    let all = listed(&denials, &Filter::default());
    let told: Vec<_> = all.iter().map(|record| record.request_id).collect();
    assert_eq!(told, [ids[2], ids[1], ids[0]]);
    let found = denials.find(&ids[1]).unwrap();
    assert_eq!(
        (found.path.as_str(), found.account.as_ref()),
        ("/v1/items/7", Some(&ci.name))
    );
    let json = serde_json::to_string(&*found).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), *found);
}

#[test]
fn strangers_push_out_strangers_and_nobody_else() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    let ci = account("ci");
    handle.leave(make.refused(Some(&ci), Reason::PermissionMissing, 0));
    for round in 0..50 {
        for ms in 0..20 {
            handle.leave(make.refused(None, Reason::CredentialMissing, round * 20 + ms));
            handle.leave(make.refused(None, Reason::UpstreamReset, round * 20 + ms));
        }
        denials.collect(at(10_000));
    }
    let all = listed(
        &denials,
        &Filter {
            limit: Some(1000),
            ..Filter::default()
        },
    );
    let of = |reason: &str| all.iter().filter(|record| record.reason == reason).count();
    assert_eq!(of("permission_missing"), 1);
    assert!(
        (30..=40).contains(&of("credential_missing")),
        "{}",
        of("credential_missing")
    );
    assert!(of("upstream_reset") <= FAILURES_MAX);
    // The count knows of all of them, and failures are nobody's lack of rights.
    let top = denials.top(&Filter::default());
    assert_eq!(
        top.iter().map(|group| group.count).collect::<Vec<_>>(),
        [1000, 1]
    );
}

#[test]
fn one_account_in_a_loop_does_not_push_out_another() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    let (ci, cd) = (account("ci"), account("cd"));
    handle.leave(make.refused(Some(&cd), Reason::PermissionMissing, 0));
    for ms in 1..500 {
        handle.leave(make.refused(Some(&ci), Reason::PermissionMissing, ms));
    }
    let of_cd = Filter {
        account: Some(cd.name.clone()),
        ..Filter::default()
    };
    assert_eq!(listed(&denials, &of_cd).len(), 1);
    let all = Filter {
        limit: Some(1000),
        ..Filter::default()
    };
    assert!(listed(&denials, &all).len() <= 80);
}

#[test]
fn what_comes_too_fast_is_counted_and_not_kept() {
    let denials = Denials::new(settings::Denials::default(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    for ms in 0..1000 {
        handle.leave(make.refused(None, Reason::CredentialMissing, ms));
    }
    assert_eq!(denials.lost(), 1000 - tray::STRANGERS_MAX as u64);
    let off = settings::Denials {
        kept: false,
        ..bounds()
    };
    assert!(Denials::new(off, Vec::new()).handle().is_none());
}

#[test]
fn what_is_too_old_goes() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    handle.leave(make.refused(None, Reason::CredentialMissing, 0));
    assert_eq!(listed(&denials, &Filter::default()).len(), 1);
    let late = at(0).plus(bounds().max_age).plus(Duration::from_secs(60));
    denials.collect(late);
    assert!(denials.list(&Filter::default()).is_empty());
    assert!(denials.top(&Filter::default()).is_empty());
    let batch = denials.unsaved();
    assert_eq!((batch.groups.len(), batch.gone.len()), (0, 1));
}

#[test]
fn groups_are_bounded_and_the_loudest_stay() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    for number in 0..200_u32 {
        for _ in 0..2 {
            handle.leave(make.refused(None, Reason::KeyUnknown, u64::from(number)));
        }
        let mut once = make.refused(None, Reason::KeyUnknown, u64::from(number));
        once.source = std::net::Ipv4Addr::from(number).into();
        handle.leave(once);
        denials.collect(at(10_000));
    }
    let top = denials.top(&Filter {
        limit: Some(100),
        ..Filter::default()
    });
    assert!(top.len() <= 16, "{}", top.len());
    assert_eq!(top[0].count, 400);
    assert_eq!(top[0].source, Some("192.0.2.7".parse().unwrap()));
}

#[test]
fn who_follows_hears_of_what_is_new_and_of_nothing_twice() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    let filter = Filter::default();
    handle.leave(make.refused(None, Reason::KeyUnknown, 1));
    denials.collect(at(2));
    let start = denials.news(None, &filter);
    assert!(start.records.is_empty());
    handle.leave(make.refused(None, Reason::KeyUnknown, 3));
    handle.leave(make.refused(None, Reason::KeyExpired, 4));
    denials.collect(at(5));
    let news = denials.news(Some(start.next), &filter);
    let reasons: Vec<_> = news
        .records
        .iter()
        .map(|record| record.reason.as_str())
        .collect();
    assert_eq!(reasons, ["key_unknown", "key_expired"]);
    assert!(denials.news(Some(news.next), &filter).records.is_empty());
}

#[test]
fn a_store_is_told_once_and_again_when_it_did_not_listen() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    handle.leave(make.refused(None, Reason::KeyUnknown, 1));
    denials.collect(at(2));
    let batch = denials.unsaved();
    assert_eq!((batch.records.len(), batch.groups.len()), (1, 1));
    assert!(denials.unsaved().is_empty());
    let groups = batch.groups.clone();
    denials.not_saved(batch);
    assert_eq!(denials.unsaved().groups, groups);
    // And who starts with what a store knows goes on counting.
    let next = Denials::new(bounds(), groups);
    let handle = next.handle().unwrap();
    handle.leave(make.refused(None, Reason::KeyUnknown, 3));
    next.collect(at(4));
    assert_eq!(next.top(&Filter::default())[0].count, 2);
}

#[test]
fn ten_thousand_refusals_of_one_caller_push_out_none_of_another() {
    let (ci, cd) = (account("ci"), account("cd"));
    let strangers = ["192.0.2.1", "2001:db8::1"].map(|source| source.parse().unwrap());
    // Between two rounds, in memory, and on the way to the store; before, within and after the noise.
    for quiet in [0, 5_000, 9_999] {
        let denials = Denials::new(bounds(), Vec::new());
        let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
        let (mut kept, mut noise) = (Vec::new(), 0);
        for ms in 0..10_000 {
            handle.leave(make.refused(Some(&ci), Reason::PermissionMissing, ms));
            handle.leave(make.refused(None, Reason::CredentialMissing, ms));
            noise += 2;
            if ms != quiet {
                continue;
            }
            let known = make.refused(Some(&cd), Reason::PermissionMissing, ms);
            let mut all = vec![known];
            for source in strangers {
                let stranger = make.refused(None, Reason::CredentialMissing, ms);
                all.push(Refused { source, ..stranger });
            }
            kept.extend(all.iter().map(|refused| refused.id));
            all.into_iter().for_each(|refused| handle.leave(refused));
        }
        denials.collect(at(20_000));
        let saved = denials.unsaved().records;
        for id in kept {
            assert!(denials.find(&id).is_some(), "{id} of {quiet}");
            assert!(saved.iter().any(|record| record.request_id == id));
        }
        assert!(saved.len() < noise && denials.lost() > 0);
    }
}

#[test]
fn who_asks_for_what_is_not_there_is_counted_by_how_the_path_begins() {
    let denials = Denials::new(bounds(), Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    let mut ask = |path: &str, ms| {
        handle.leave(Refused {
            text: Text::new(path.as_bytes(), b"a.test", b"curl/8"),
            ..make.refused(None, Reason::CredentialMissing, ms)
        });
    };
    ask("/v1/items/7", 0);
    ask("/v1/items/8/parts", 1);
    ask("/v1/users", 2);
    denials.collect(at(10_000));
    let top = |denials: &Denials| {
        let groups = denials.top(&Filter::default()).into_iter();
        let rows = groups.map(|group| (group.path.unwrap_or_default(), group.count));
        rows.collect::<Vec<_>>()
    };
    let expected = [("/v1/items/…".to_owned(), 2), ("/v1/users".to_owned(), 1)];
    assert_eq!(top(&denials), expected);
}

#[test]
fn who_tries_out_paths_does_not_use_up_the_groups() {
    let many = settings::Denials {
        groups: 1000,
        ..bounds()
    };
    let denials = Denials::new(many, Vec::new());
    let (handle, mut make) = (denials.handle().unwrap(), Maker::new());
    for ms in 0..200 {
        let path = format!(
            "/guess-{}",
            char::from(b'a' + (ms % 26) as u8)
                .to_string()
                .repeat(usize::try_from(ms).unwrap() / 26 + 1)
        );
        handle.leave(Refused {
            text: Text::new(path.as_bytes(), b"a.test", b"curl/8"),
            ..make.refused(None, Reason::CredentialMissing, ms)
        });
    }
    denials.collect(at(10_000));
    let all = Filter {
        limit: Some(1000),
        ..Filter::default()
    };
    let groups = denials.top(&all);
    assert_eq!(groups.len(), 33);
    assert_eq!(
        (groups[0].path.as_deref(), groups[0].count),
        (Some("/…"), 200 - 32)
    );
}
