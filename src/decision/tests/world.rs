//! A small policy to ask questions of, with an upstream that has habits.

use std::path::Path;

use super::super::*;
use crate::directory::Directory;
use crate::explain::supposed;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::settings::UpstreamRules;
use crate::words::{Method, Spelling};

pub(in crate::decision) struct World {
    pub(in crate::decision) policy: Policy,
    directory: Directory,
}

/// One request: who asks for what, with which headers, named once each.
pub(in crate::decision) struct Call<'a> {
    pub(in crate::decision) account: &'a str,
    pub(in crate::decision) method: Method,
    pub(in crate::decision) target: &'a str,
    pub(in crate::decision) headers: &'a [(&'static str, &'a str)],
}

impl World {
    /// The policy `text`, whose upstream `easy` ignores case and slashes at the end, lets one odd
    /// header name pass and `_method` in a query; `plain` does nothing of it.
    pub(in crate::decision) fn new(text: &str) -> Self {
        let easy = UpstreamRules {
            spelling: Spelling {
                any_case: true,
                any_slash: true,
            },
            header_names: ["api_key".parse().unwrap()].into(),
            method_in_query: true,
            ..UpstreamRules::default()
        };
        Self::of(
            text,
            vec![("easy", easy), ("plain", UpstreamRules::default())],
        )
    }

    /// The policy `text` before these upstreams.
    pub(in crate::decision) fn of(text: &str, upstreams: Vec<(&str, UpstreamRules)>) -> Self {
        let context = Context {
            upstreams: Some(
                upstreams
                    .into_iter()
                    .map(|(name, rules)| (name.parse().unwrap(), rules))
                    .collect(),
            ),
            own_endpoints: vec![(Method::Post, "/oauth/token".to_owned())],
            files_only: false,
        };
        let file = SourceFile {
            path: Path::new("p.yaml").into(),
            text: text.to_owned(),
        };
        let policy = compile(&[file], &context).unwrap_or_else(|faults| panic!("{faults}"));
        let directory = Directory::of_files(&policy).directory;
        Self { policy, directory }
    }

    /// Asks, and lets `look` see the answer beside the question.
    pub(in crate::decision) fn ask<T>(
        &self,
        call: &Call<'_>,
        look: impl FnOnce(&Question<'_>, Result<Option<Caller>, Reason>) -> T,
    ) -> T {
        let target = Target::from_text(call.target, self.policy.classes_read).unwrap();
        let lookup = self.policy.find(None, call.method, target.path()).unwrap();
        let sent = call.target.parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in call.headers {
            headers.append(*name, value.parse().unwrap());
        }
        let question = Question {
            policy: &self.policy,
            target: &target,
            sent: &sent,
            host: None,
            lookup: &lookup,
            headers: &headers,
            source: None,
        };
        let account = self.directory.account_named(call.account);
        look(
            &question,
            Ok(account.map(|account| supposed(Arc::clone(account)))),
        )
    }

    pub(in crate::decision) fn decide(&self, call: &Call<'_>) -> Outcome {
        self.ask(call, decide)
    }

    pub(in crate::decision) fn permit(&self, call: &Call<'_>) -> Permit {
        match self.decide(call) {
            Outcome::Allowed(permit) | Outcome::Shadowed(permit, _) => permit,
            Outcome::Denied(denial) => panic!("{} was refused: {denial:?}", call.target),
        }
    }

    pub(in crate::decision) fn denial(&self, call: &Call<'_>) -> Denial {
        match self.decide(call) {
            Outcome::Denied(denial) | Outcome::Shadowed(_, denial) => *denial,
            Outcome::Allowed(_) => panic!("{} was let through", call.target),
        }
    }
}

/// A GET of `target` by `account`, without headers.
pub(in crate::decision) fn get<'a>(account: &'a str, target: &'a str) -> Call<'a> {
    Call {
        account,
        method: Method::Get,
        target,
        headers: &[],
    }
}
