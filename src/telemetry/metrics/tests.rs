//! What a scrape shows after what happened.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::policy::template::Template;
use crate::policy::{Requirement, Route, RouteBoundary};
use crate::reason::Reason;
use crate::words::{ClassSet, MethodSet, Place, RouteId, UpstreamId};

fn policy(templates: &[&str]) -> Policy {
    let route = |(id, template): (usize, &&str)| {
        Arc::new(Route {
            id: RouteId(u32::try_from(id).unwrap()),
            name: format!("GET {template}"),
            methods: MethodSet::of(Method::Get),
            template: Template::parse(template).unwrap(),
            loose: None,
            hosts: Vec::new(),
            requirement: Requirement::Public,
            boundary: RouteBoundary::Unlimited,
            upstream: UpstreamId(0),
            timeout: None,
            shadow: false,
            unsafe_allow: ClassSet::EMPTY,
            pass_authorization: false,
            upgrade: false,
            trailers: Vec::new(),
            body_bytes: None,
            rate: None,
            rate_per_account: None,
            header_names: Arc::default(),
            method_in_query: false,
            cors: None,
            place: Place::whole("routes.yaml"),
        })
    };
    Policy {
        hash: "0123456789abcdef".to_owned(),
        routes: templates.iter().enumerate().map(route).collect(),
        ..Policy::default()
    }
}

fn finished<'a>(target: Target<'a>, status: u16, outcome: Outcome<'a>) -> Finished<'a> {
    Finished {
        target,
        method: Some(Method::Get),
        status: StatusCode::from_u16(status).unwrap(),
        total: Duration::from_millis(7),
        authz: Some(Duration::from_micros(2)),
        outcome,
    }
}

fn denied<'a>(reason: Reason, account: Option<&'a str>) -> Denied<'a> {
    Denied {
        reason,
        status: reason.status(),
        permission: "devices:edit",
        account,
    }
}

fn holds(metrics: &Metrics, line: &str) -> bool {
    metrics.render().lines().any(|one| one == line)
}

#[test]
fn every_name_is_valid_and_the_start_says_what_runs() {
    let metrics = Metrics::new(AccountLabels::UpTo(500));
    metrics.watch_log(|| 3);
    metrics.watch_token_cache(|| CacheFigures {
        hits: 9,
        ..CacheFigures::default()
    });
    metrics.watch_audit(|| AuditFigures {
        head: 7,
        ..AuditFigures::default()
    });
    let text = metrics.render();
    for line in [
        "portcullis_path_refused_total{class=\"encoded_slash\"} 0",
        "portcullis_audit_head 7",
        "portcullis_audit_failures_total 0",
        "portcullis_config_reloads_total{result=\"failure\"} 0",
        "portcullis_log_records_dropped_total 3",
        "portcullis_token_cache_hits_total 9",
        "portcullis_store_up 1",
        "portcullis_api_keys_expiring 0",
        "portcullis_api_key_next_expiry_timestamp_seconds inf",
    ] {
        assert!(holds(&metrics, line), "{line} is not in\n{text}");
    }
    assert!(text.contains("portcullis_build_info{revision=") && text.contains("process_open_fds"));
}

#[test]
fn a_request_is_counted_once_where_it_led_with_its_reason() {
    let metrics = Metrics::new(AccountLabels::UpTo(500));
    let policy = policy(&["/a/{x}"]);
    metrics.policy_loaded(&policy, UnixTime::from_secs(1_795_302_000));
    let route = Target::Route(&policy.routes[0]);
    let reason = Reason::PermissionMissing;

    metrics.request_finished(&finished(route, 200, Outcome::Allowed));
    metrics.request_finished(&finished(
        route,
        403,
        Outcome::Denied(denied(reason, Some("ci"))),
    ));
    metrics.request_finished(&finished(
        route,
        200,
        Outcome::Shadowed(denied(reason, None)),
    ));

    for line in [
        "portcullis_http_requests_total{code=\"200\",method=\"GET\",route=\"GET /a/{x}\"} 2",
        "portcullis_http_requests_total{code=\"403\",method=\"GET\",route=\"GET /a/{x}\"} 1",
        "portcullis_http_request_duration_seconds_count{method=\"GET\",route=\"GET /a/{x}\"} 3",
        "portcullis_http_request_duration_seconds_bucket{method=\"GET\",route=\"GET /a/{x}\",le=\"0.01\"} 3",
        "portcullis_denied_requests_total{reason=\"permission_missing\",code=\"403\",method=\"GET\",route=\"GET /a/{x}\",permission=\"devices:edit\",account=\"ci\"} 1",
        "portcullis_shadow_denied_requests_total{reason=\"permission_missing\",method=\"GET\",route=\"GET /a/{x}\",permission=\"devices:edit\"} 1",
        "portcullis_authz_duration_seconds_count 3",
        "portcullis_routes 1",
        "portcullis_config_info{hash=\"0123456789abcdef\"} 1",
    ] {
        assert!(
            holds(&metrics, line),
            "{line} is not in\n{}",
            metrics.render()
        );
    }
}

#[test]
fn a_reload_keeps_the_counts_of_what_stays_and_forgets_what_goes() {
    let metrics = Metrics::new(AccountLabels::Off);
    let before = policy(&["/goes", "/stays"]);
    metrics.policy_loaded(&before, UnixTime::from_secs(1));
    for route in &before.routes {
        let outcome = Outcome::Denied(denied(Reason::OutsideBoundary, Some("ci")));
        metrics.request_finished(&finished(Target::Route(route), 403, outcome));
    }
    metrics.policy_loaded(&policy(&["/stays", "/comes"]), UnixTime::from_secs(2));
    // Decided under the old policy, over under the new one: position 1 is another route now.
    let late = Target::Route(&before.routes[1]);
    metrics.request_finished(&finished(late, 200, Outcome::Allowed));

    let text = metrics.render();
    assert!(!text.contains("/goes"), "{text}");
    for line in [
        "portcullis_http_requests_total{code=\"200\",method=\"GET\",route=\"GET /stays\"} 1",
        "portcullis_http_requests_total{code=\"200\",method=\"GET\",route=\"GET /comes\"} 0",
        "portcullis_http_requests_total{code=\"403\",method=\"GET\",route=\"GET /stays\"} 1",
        "portcullis_config_reloads_total{result=\"success\"} 2",
    ] {
        assert!(holds(&metrics, line), "{line} is not in\n{text}");
    }
    metrics.policy_refused();
    assert!(holds(
        &metrics,
        "portcullis_config_last_reload_successful 0"
    ));
}

#[test]
fn strangers_and_many_accounts_add_no_more_than_a_fixed_number_of_series() {
    let metrics = Metrics::new(AccountLabels::UpTo(3));
    metrics.policy_loaded(&policy(&["/a"]), UnixTime::from_secs(1));
    let count = || metrics.render().lines().count();
    fn outcome(account: Option<&str>) -> Outcome<'_> {
        Outcome::Denied(denied(Reason::RouteMissing, account))
    }
    metrics.request_finished(&finished(Target::None, 404, outcome(None)));
    metrics.token_request(Some("x"), "unsupported_grant_type");
    let before = count();
    for n in 0..1000 {
        let name = format!("account-{n}");
        metrics.request_finished(&finished(Target::None, 404, outcome(Some(&name))));
        metrics.request_finished(&finished(Target::None, 404, outcome(None)));
        metrics.token_request(Some(&name), "unsupported_grant_type");
    }
    assert_eq!(count() - before, 4, "three accounts, and `_other`");
    assert!(holds(
        &metrics,
        "portcullis_metrics_series_capped_total 997"
    ));
}

#[test]
fn what_is_in_flight_is_counted_down_on_every_way_out() {
    let metrics = Metrics::new(AccountLabels::Off);
    let guard = metrics.in_flight();
    assert!(holds(&metrics, "portcullis_requests_in_flight 1"));
    drop(guard);
    assert!(holds(&metrics, "portcullis_requests_in_flight 0"));
}

#[test]
fn an_upstream_has_a_series_for_every_way_to_fail() {
    let metrics = Metrics::new(AccountLabels::Off);
    let upstream = metrics.upstream(&"inventory".parse().unwrap());
    upstream.answered(Duration::from_millis(3));
    for kind in UpstreamError::ALL {
        upstream.failed(kind);
        let kind = kind.code();
        let line =
            format!("portcullis_upstream_errors_total{{kind=\"{kind}\",upstream=\"inventory\"}} 1");
        assert!(holds(&metrics, &line), "{line}");
    }
}

#[test]
fn what_routes_weaken_is_there_as_long_as_the_policy_is() {
    let metrics = Metrics::new(AccountLabels::Off);
    let line = "portcullis_unsafe_settings{setting=\"routes.unsafe_allow: semicolon\"} 1";
    let mut weak = policy(&["/a"]);
    weak.weakened = vec!["routes.unsafe_allow: semicolon".to_owned()];
    metrics.policy_loaded(&weak, UnixTime::from_secs(1));
    assert!(holds(&metrics, line));
    metrics.policy_loaded(&policy(&["/a"]), UnixTime::from_secs(2));
    assert!(!holds(&metrics, line));
}
