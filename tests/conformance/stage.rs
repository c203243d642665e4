//! Where cases are played: a gateway before an upstream that records, and accounts to call as.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::rows::Protocol;
use crate::harness::{Behaviour, Client, Fixture, Gateway, Key, PATIENCE, Upstream};

/// A stage as the data describes it: what differs from the standard one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plan {
    /// Settings of both listeners.
    listener: Option<String>,
    /// Settings of the upstream.
    upstream: Option<String>,
    /// A policy file instead of the standard one.
    policy: Option<String>,
    /// A policy file beside it.
    more: Option<String>,
    /// Lines for the settings file.
    settings: Option<String>,
    /// Further accounts, with what `accounts create` is told of them.
    accounts: BTreeMap<String, Vec<String>>,
}

/// The stages of the data, by name.
pub(super) fn plans() -> BTreeMap<String, Plan> {
    let text = std::fs::read_to_string("tests/conformance/fixtures.yaml").unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("fixtures.yaml: {error}"))
}

/// The accounts of every stage, and their roles.
const ACCOUNTS: [(&str, &[&str]); 3] = [
    ("chief", &["owner", "admin"]),
    ("reader", &["reader"]),
    ("writer", &["writer"]),
];

/// A gateway, its upstream, and who calls.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) upstream: Upstream,
    callers: BTreeMap<String, (Key, String)>,
    /// Decisions that were logged and looked at.
    pub(super) logged: usize,
    /// Refusals that were counted and looked at, by reason.
    pub(super) counted: BTreeMap<String, u64>,
    /// Connections that were counted and looked at, on which the HTTP library refused something.
    counted_broken: u64,
}

impl Stage {
    /// Starts what `plan` says.
    pub(super) fn start(plan: &Plan) -> Self {
        let upstream = Upstream::start();
        let mut clear = plan.listener.clone().into_iter().collect::<Vec<_>>();
        let mut secure = clear.clone();
        secure.push("tls: { certificate: tls.crt, key: tls.key }".to_owned());
        clear.push("http2: true".to_owned());
        let mut fixture = Fixture::new(&upstream)
            .listener(&clear.join(", "))
            .another_listener(&secure.join(", "));
        if let Some(more) = &plan.upstream {
            fixture = fixture.upstream(more);
        }
        if let Some(policy) = &plan.policy {
            fixture = fixture.policy("items.yaml", policy);
        }
        if let Some(more) = &plan.more {
            fixture = fixture.policy("more.yaml", more);
        }
        if let Some(settings) = &plan.settings {
            fixture = fixture.settings(settings);
        }
        let gateway = fixture.start();
        let mut callers = BTreeMap::new();
        for (name, roles) in ACCOUNTS {
            let key = gateway.account(name, roles);
            let token = gateway.token(&key);
            callers.insert(name.to_owned(), (key, token));
        }
        for (name, told) in &plan.accounts {
            let told = told.iter().map(String::as_str);
            let arguments: Vec<_> = ["accounts", "create", name]
                .into_iter()
                .chain(told)
                .collect();
            gateway.json(&arguments);
            let issued = gateway.json(&["tokens", "issue", name]);
            let token = issued["access_token"].as_str().expect("a token").to_owned();
            callers.insert(name.clone(), (gateway.key(name), token));
        }
        upstream.forget();
        let logged = gateway.decisions(ACCOUNTS.len()).len();
        Self {
            gateway,
            upstream,
            callers,
            logged,
            counted: BTreeMap::new(),
            counted_broken: 0,
        }
    }

    /// A connection over `protocol`.
    pub(super) fn connect(&self, protocol: Protocol) -> Client {
        let certificate = self.gateway.files().certificate();
        let secure = || self.gateway.address_of("1");
        match protocol {
            Protocol::Http1 | Protocol::Http2 => Client::connect(self.gateway.address()),
            Protocol::Http1Tls => Client::connect_tls(secure(), certificate),
            Protocol::Http2Tls => Client::connect_tls_speaking(secure(), certificate, "h2"),
        }
    }

    /// Waits until the upstream hears nothing more: of a request that is broken off nobody can say
    /// whether the gateway is still about to begin with it.
    pub(super) fn settle(&self) {
        let heard = || (self.upstream.connections(), self.upstream.bytes());
        let mut last = heard();
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = heard();
            if now == last {
                return;
            }
            last = now;
        }
    }

    /// Puts everything back in order.
    pub(super) fn tidy(&self) {
        self.upstream.behave(Behaviour::json(r#"{"ok":true}"#));
        self.upstream.forget();
    }

    /// What stands for `<<name>>` in a case whose caller is `caller`.
    pub(super) fn look_up(&self, name: &str, caller: &str) -> Option<String> {
        let of = |name: &str| self.callers.get(name);
        let (kind, whose) = name.split_once(':').unwrap_or((name, caller));
        let text = match kind {
            // A line of its own in a head; nothing for nobody.
            "auth" => of(whose).map_or_else(String::new, |(_, token)| {
                format!("Authorization: Bearer {token}\r\n")
            }),
            "token" => of(whose)?.1.clone(),
            "basic" => of(whose)?.0.basic(),
            "api_key" => of(whose)?.0.api_key(),
            "key" => of(whose)?.0.id.clone(),
            "secret" => of(whose)?.0.secret.clone(),
            "upstream" => self.upstream.address().to_string(),
            _ => return None,
        };
        Some(text)
    }

    /// Looks no further back: what was logged and counted so far is not to be compared.
    pub(super) fn catch_up(&mut self) {
        // Longer than a line rests in a buffer; nothing says that none will come.
        std::thread::sleep(Duration::from_millis(400));
        self.logged += self.gateway.decisions_after(self.logged, 0).len();
        self.counted = self.refusals();
        self.counted_broken = self.broken();
    }

    /// Waits until so many connections more than before are counted on which the HTTP library refused
    /// something by itself; how many there are then.
    pub(super) fn wait_for_broken(&mut self, count: u64) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            let more = self.broken() - self.counted_broken;
            if more >= count || Instant::now() > until {
                self.counted_broken += more;
                return more;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn broken(&self) -> u64 {
        let metrics = self.gateway.ops("/metrics");
        let count = |cause: &str| -> u64 {
            let series = format!("portcullis_connections_refused_total{{cause=\"{cause}\"}} ");
            let mut lines = metrics.text().lines();
            let count = lines.find_map(|line| line.strip_prefix(&*series));
            count.expect("each cause is counted").parse().unwrap()
        };
        ["flood", "protocol", "streams"].map(count).iter().sum()
    }

    /// The refusals counted so far, by reason.
    pub(super) fn refusals(&self) -> BTreeMap<String, u64> {
        let metrics = self.gateway.ops("/metrics");
        let mut refusals = BTreeMap::new();
        for line in metrics.text().lines() {
            let Some(labels) = line.strip_prefix("portcullis_denied_requests_total{") else {
                continue;
            };
            let reason = labels
                .split_once("reason=\"")
                .and_then(|(_, rest)| rest.split_once('"'));
            let count = labels
                .rsplit_once(' ')
                .and_then(|(_, count)| count.parse::<u64>().ok());
            let (Some((reason, _)), Some(count)) = (reason, count) else {
                panic!("`{line}` counts no reason");
            };
            *refusals.entry(reason.to_owned()).or_insert(0) += count;
        }
        refusals
    }
}
