//! A policy, its accounts and their credentials, and the gateway's own way of a request through them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Uri};
use portcullis::credential::{self, Accepts, Foreign, Issuers};
use portcullis::decision::{Denial, Outcome};
use portcullis::directory::{Directory, SigningKey, SigningKeys, State};
use portcullis::explain::{Hypothesis, explain};
use portcullis::head::Entrance;
use portcullis::judge::{self, Judge, Judgement};
use portcullis::oauth::{self, MintRequest, TokenRequest};
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::policy::{FileKey, Policy};
use portcullis::reason::Reason;
use portcullis::settings::{self, LISTENER_DEFAULT, Tokens, UpstreamAddress, UpstreamRules};
use portcullis::store::{FileAccountRecord, Records};
use portcullis::throttle::Throttle;
use portcullis::verify::Verifier;
use portcullis::words::{
    AccountId, AccountName, KeyId, Method, PathClass, Permission, Place, Secret, Spelling, TokenId,
    UnixTime,
};
use portcullis::{head, source};

use super::answer::Answer;
use super::file::{Caller, Case, File, Listener, Shows, Upstream, Wrong};

/// Second 0 of every scenario: 2026-11-21T23:00:00Z.
const START: u64 = 1_795_302_000;

/// A listener of which nobody said anything.
static LISTENER: LazyLock<settings::Listener> =
    LazyLock::new(|| settings::Listener::plain(LISTENER_DEFAULT));

/// Where a scenario happens.
pub(super) struct World {
    state: State,
    verifier: Verifier,
    tokens: Tokens,
    issuers: Issuers,
    throttle: Throttle,
    listener: Listener,
    /// One header each.
    credentials: BTreeMap<String, (HeaderName, HeaderValue)>,
}

impl World {
    pub(super) fn new(path: &Path, file: &File) -> Self {
        let tokens = Tokens {
            issuer: "https://gate.example".to_owned(),
            audience: "inventory".to_owned(),
            lifetime: Duration::from_secs(900),
            cache_entries: 100,
            ..Tokens::default()
        };
        let maker = Maker::new(path, file, &tokens);
        let credentials = file.callers.iter();
        let credentials = credentials
            .map(|(name, caller)| (name.clone(), maker.credential(name, caller)))
            .collect();
        Self {
            verifier: Verifier::new(&tokens, None),
            issuers: Issuers::new([tokens.issuer.as_str()]),
            throttle: Throttle::new(),
            listener: file.listener.clone(),
            state: maker.state(file),
            tokens,
            credentials,
        }
    }

    /// Asks as a case says, in the order of the gateway.
    pub(super) fn ask(&self, case: &Case) -> Answer {
        let Some(parts) = self.parts(case) else {
            // The parser's word.
            return Answer::refused(&Denial::new(Reason::RequestMalformed));
        };
        self.judge(case, &parts)
            .unwrap_or_else(|denial| Answer::refused(&denial))
    }

    /// The reason `explain` and `can-i` have against a case, if it is one that can be put to them:
    /// with a head that is HTTP, a good credential or none, and not for an endpoint of ours.
    pub(super) fn explained(&self, case: &Case) -> Option<Option<&'static str>> {
        let parts = self.parts(case)?;
        let head = head::check(&parts, Entrance::of(&LISTENER, false)).ok()?;
        if parts.uri.path() == oauth::token::PATH {
            return None;
        }
        let accepts = self.accepts();
        let foreign = Foreign::MayPass(&self.issuers);
        let credential = credential::read(&parts.headers, accepts, foreign).ok()?;
        let now = UnixTime::from_secs(START + case.at);
        let caller = self
            .verifier
            .verify(&credential, &self.state, (now, None))
            .ok()?;
        let source = source::of(case.from, &self.listener.trusted_proxies, &parts.headers);
        let call = Hypothesis {
            method: head.method,
            target: head.path_and_query.as_str(),
            host: Some(head.host),
            headers: &parts.headers,
            caller,
            source: Some(source.address),
        };
        Some(explain(&self.state.policy, &call).reason)
    }

    fn accepts(&self) -> Accepts {
        Accepts {
            basic: self.listener.basic,
            api_key: self.listener.api_key,
        }
    }

    fn judge(&self, case: &Case, parts: &Parts) -> Result<Answer, Box<Denial>> {
        let source = source::of(case.from, &self.listener.trusted_proxies, &parts.headers);
        let judge = Judge {
            state: &self.state,
            verifier: &self.verifier,
            issuers: &self.issuers,
            throttle: &self.throttle,
            tells_metadata: false,
        };
        let asked = judge::Asked {
            parts,
            source: source.address,
            accepts: self.accepts(),
            entrance: Entrance::of(&LISTENER, false),
            failures: LISTENER.limits.failures(),
            now: UnixTime::from_secs(START + case.at),
        };
        let (permit, despite) = match judge.judge(&asked, &mut None)? {
            Judgement::Token => return Ok(self.token(case, &asked)),
            Judgement::SigningKeys => {
                let response = oauth::key_set(self.state.directory.signing());
                return Ok(Answer::Issued { response });
            }
            Judgement::Revoke | Judgement::Metadata => {
                panic!("revocations and metadata have tests of their own")
            }
            Judgement::Preflight(answer) => return Ok(Answer::Preflight(answer)),
            Judgement::Decided(Outcome::Allowed(permit)) => (permit, None),
            Judgement::Decided(Outcome::Shadowed(permit, denial)) => (permit, Some(denial.reason)),
            Judgement::Decided(Outcome::Denied(denial)) => return Err(denial),
        };
        let permit = Box::new(permit);
        Ok(Answer::Forwarded { permit, despite })
    }

    fn token(&self, case: &Case, asked: &judge::Asked<'_>) -> Answer {
        let body = case.form.as_deref().unwrap_or_default();
        let id = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70"
            .parse()
            .expect("an id");
        let request = TokenRequest {
            id: &id,
            method: &asked.parts.method,
            query: asked.parts.uri.query(),
            headers: &asked.parts.headers,
            body: body.as_bytes(),
            source: Some(asked.source),
            limits: None,
        };
        let answer = oauth::answer(
            &self.verifier,
            &self.state,
            &self.tokens,
            &request,
            asked.now,
        );
        let response = answer.response;
        match answer.reason {
            None => Answer::Issued { response },
            Some(reason) => Answer::Refused {
                reason,
                route: String::new(),
                response,
            },
        }
    }

    /// The head of a case's request; `None` if it is none.
    fn parts(&self, case: &Case) -> Option<Parts> {
        let (method, target) = case.method_and_target();
        let uri = Uri::try_from(target).ok()?;
        let method = http::Method::from_bytes(method.as_bytes()).ok()?;
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri) = (method, uri);
        let host = case.host.as_deref().unwrap_or("gate.example");
        if host != "none" {
            parts.headers.insert(HOST, host.parse().ok()?);
        }
        for line in &case.headers {
            let (name, value) = line.split_once(':').expect("`Name: value`");
            let name: HeaderName = name.parse().ok()?;
            parts.headers.append(name, value.trim().parse().ok()?);
        }
        for name in case.callers.iter() {
            let known = self.credentials.get(name);
            let (header, value) = known.unwrap_or_else(|| panic!("there is no caller `{name}`"));
            parts.headers.append(header, value.clone());
        }
        if case.form.is_some() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            parts.headers.insert(http::header::CONTENT_TYPE, form);
        }
        Some(parts)
    }
}

/// Makes credentials while everybody is still there, and then the state in which they are shown.
struct Maker<'a> {
    tokens: &'a Tokens,
    policy: Policy,
    /// Each account's id.
    ids: BTreeMap<AccountName, AccountId>,
    /// One each, by caller.
    keys: BTreeMap<String, (KeyId, Secret)>,
    /// Everybody, as long as nothing has been taken away.
    before: Directory,
    signer: SigningKey,
    signing: Arc<SigningKeys>,
}

impl<'a> Maker<'a> {
    fn new(path: &Path, file: &File, tokens: &'a Tokens) -> Self {
        let mut policy = policy(path, file);
        let mut keys = BTreeMap::new();
        for (name, caller) in &file.callers {
            let (id, secret) = (KeyId::random(), Secret::random());
            let key = FileKey {
                id,
                digest: secret.digest(),
                description: String::new(),
                only: None,
                allow_from: Vec::new(),
                expires_at: caller.key_ends.map(|end| UnixTime::from_secs(START + end)),
                place: Place::whole(path),
            };
            let account = policy.accounts.get_mut(caller.account.as_str());
            let account = account.unwrap_or_else(|| panic!("`{name}` is of no account"));
            account.keys.push(key);
            keys.insert(name.clone(), (id, secret));
        }
        let ids: BTreeMap<_, _> = policy
            .accounts
            .keys()
            .map(|name| (name.clone(), AccountId::random()))
            .collect();
        let (signer, private) = SigningKey::generate(UnixTime::from_secs(START));
        let same = SigningKey::from_pkcs8(&private, signer.created_at).unwrap();
        let signing = if file.without_signing_key {
            Arc::default()
        } else {
            Arc::new(SigningKeys::new(vec![same]))
        };
        let before = directory(&policy, &ids, &[], &signing);
        Self {
            tokens,
            policy,
            ids,
            keys,
            before,
            signer,
            signing,
        }
    }

    /// What is in force when the cases are asked.
    fn state(mut self, file: &File) -> State {
        for (name, caller) in &file.callers {
            let (id, _) = &self.keys[name];
            let account = self.policy.accounts.get_mut(caller.account.as_str());
            if let Some(account) = account.filter(|_| caller.key_revoked) {
                account.keys.retain(|key| key.id != *id);
            }
        }
        for name in &file.deleted {
            let gone = self.policy.accounts.remove(name.as_str());
            assert!(
                gone.is_some(),
                "`{name}` cannot be deleted: there is no such account"
            );
        }
        State {
            directory: directory(&self.policy, &self.ids, &file.disabled, &self.signing),
            policy: Arc::new(self.policy),
        }
    }

    /// The header a caller shows.
    fn credential(&self, name: &str, caller: &Caller) -> (HeaderName, HeaderValue) {
        let (id, secret) = &self.keys[name];
        let mut secret = secret.reveal().to_owned();
        if caller.wrong == Some(Wrong::Secret) {
            secret = Secret::random().reveal().to_owned();
        }
        if caller.wrong == Some(Wrong::Checksum) {
            let last = secret.pop();
            secret.push(if last == Some('0') { '1' } else { '0' });
        }
        let (header, text) = match caller.shows {
            Shows::Token => (
                AUTHORIZATION,
                format!("Bearer {}", self.token(caller, Some(*id))),
            ),
            Shows::IssuedToken => (
                AUTHORIZATION,
                format!("Bearer {}", self.token(caller, None)),
            ),
            Shows::Basic => {
                let pair = STANDARD.encode(format!("{id}:{secret}"));
                (AUTHORIZATION, format!("Basic {pair}"))
            }
            Shows::ApiKey => (credential::X_API_KEY, format!("{id}.{secret}")),
        };
        (header, text.parse().unwrap())
    }

    fn token(&self, caller: &Caller, key: Option<KeyId>) -> String {
        let scope: Option<Vec<Permission>> = caller
            .scope
            .as_ref()
            .map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        let request = MintRequest {
            id: TokenId::random(),
            account: self.before.account_named(&caller.account).unwrap(),
            key,
            scope: scope.as_deref(),
            lifetime: Duration::from_secs(caller.lives),
        };
        let made = UnixTime::from_secs(START + caller.made);
        let stranger = || SigningKey::generate(made).0;
        let mint = |signer: &SigningKey, tokens: &Tokens| {
            oauth::mint(Some(signer), tokens, request, made).unwrap()
        };
        let tokens = self.tokens.clone();
        match caller.wrong {
            None | Some(Wrong::Secret | Wrong::Checksum) => mint(&self.signer, &tokens),
            Some(Wrong::Audience) => mint(
                &self.signer,
                &Tokens {
                    audience: "warehouse".to_owned(),
                    ..tokens
                },
            ),
            Some(Wrong::Issuer) => mint(
                &self.signer,
                &Tokens {
                    issuer: "https://elsewhere.example".to_owned(),
                    ..tokens
                },
            ),
            Some(Wrong::SigningKey) => mint(&stranger(), &tokens),
            Some(Wrong::Signature) => {
                let kid = self.signer.kid.clone();
                mint(&SigningKey { kid, ..stranger() }, &tokens)
            }
            Some(Wrong::Claims) => altered(&mint(&self.signer, &tokens)),
        }
    }
}

/// The token with a year added to its end.
fn altered(token: &str) -> String {
    let parts: Vec<_> = token.split('.').collect();
    let json = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let mut claims: serde_json::Value = serde_json::from_slice(&json).unwrap();
    claims["exp"] = (START + 365 * 86_400).into();
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{}.{claims}.{}", parts[0], parts[2])
}

fn policy(path: &Path, file: &File) -> Policy {
    let source = |text: &str| SourceFile {
        path: path.into(),
        text: text.to_owned(),
    };
    let sources: Vec<_> = file.policy.iter().map(source).collect();
    let rules = |(name, written): (&String, &Upstream)| {
        let class = |code: &String| {
            let known = PathClass::ALL.iter().find(|class| class.code() == code);
            *known.unwrap_or_else(|| panic!("there is no class `{code}`"))
        };
        let rules = UpstreamRules {
            unsafe_allow: written.unsafe_allow.iter().map(class).collect(),
            shadow: written.shadow,
            pass_authorization: written.pass_authorization,
            method_in_query: !written.unsafe_query_keys.is_empty(),
            spelling: Spelling {
                any_case: written.case_insensitive,
                any_slash: written.trailing_slash.is_some(),
            },
            header_names: written
                .unsafe_header_names
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            is_default: written.default,
            addresses: vec![match &written.address {
                Some(host) => UpstreamAddress::Tcp {
                    host: host.clone(),
                    port: 80,
                },
                None => UpstreamAddress::Unix(format!("/run/{name}").into()),
            }],
        };
        (name.parse().unwrap(), rules)
    };
    let upstreams = file.upstreams.as_ref();
    let context = Context {
        upstreams: upstreams.map(|upstreams| upstreams.iter().map(rules).collect()),
        own_endpoints: vec![(Method::Post, oauth::token::PATH.to_owned())],
        files_only: false,
    };
    compile(&sources, &context).unwrap_or_else(|faults| panic!("{faults}"))
}

fn directory(
    policy: &Policy,
    ids: &BTreeMap<AccountName, AccountId>,
    disabled: &[String],
    signing: &Arc<SigningKeys>,
) -> Directory {
    let mut records = Records::default();
    for (name, id) in ids {
        let row = FileAccountRecord {
            id: id.clone(),
            disabled: disabled.iter().any(|other| other == name.as_str()),
            created_at: UnixTime::from_secs(START),
            updated_at: UnixTime::from_secs(START),
            last_used_at: None,
            gone_at: None,
        };
        records.file_accounts.insert(name.clone(), row);
    }
    let built = Directory::build(policy, &records, Arc::clone(signing), None);
    assert!(built.conflicts.is_empty(), "{:?}", built.conflicts);
    built.directory
}
