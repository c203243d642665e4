//! What it costs to turn a credential into a caller: remembered, new, junk, and a key shown directly.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use portcullis::credential::{Accepts, Credential, Foreign, read};
use portcullis::directory::{Directory, SigningKey, SigningKeys, State};
use portcullis::oauth::token::Limits;
use portcullis::oauth::{MintRequest, TokenRequest, answer, mint};
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::settings::Tokens;
use portcullis::throttle::{Rates, Throttle};
use portcullis::verify::Verifier;
use portcullis::words::{KeyId, Rate, RequestIds, Secret, TokenId, UnixTime};

/// Tokens in use at once, for the look-up that misses the processor's own caches.
const MANY: usize = 50_000;

/// One account with one key, and something to sign with.
struct World {
    tokens: Tokens,
    state: State,
    key: KeyId,
    secret: Secret,
    now: UnixTime,
}

impl World {
    fn new() -> Self {
        let (key, secret) = (KeyId::random(), Secret::random());
        let text = format!(
            "permissions: {{ 'devices:view': See devices }}\n\
             roles: {{ reader: {{ description: Reads, permissions: ['devices:view'] }} }}\n\
             accounts:\n  ci:\n    description: Builds\n    id: sa_ci\n    \
             grants: [{{ role: reader }}]\n    keys: [{{ id: {key}, digest: '{}' }}]\n",
            secret.digest()
        );
        let file = SourceFile {
            path: Arc::from(std::path::Path::new("bench.yaml")),
            text,
        };
        let context = Context {
            upstreams: None,
            own_endpoints: Vec::new(),
            files_only: false,
        };
        let policy = Arc::new(compile(&[file], &context).unwrap());
        let now = UnixTime::from_secs(1_795_302_000);
        let signing = SigningKeys::new(vec![SigningKey::generate(now).0]);
        let directory = Directory::of_files(&policy).directory;
        Self {
            tokens: Tokens {
                issuer: "https://gate.example.com".into(),
                audience: "inventory".into(),
                lifetime: Duration::from_secs(900),
                cache_entries: 2 * MANY,
                ..Tokens::default()
            },
            state: State {
                policy,
                directory: directory.with_signing(Arc::new(signing)),
            },
            key,
            secret,
            now,
        }
    }

    fn token(&self) -> String {
        let directory = &self.state.directory;
        let request = MintRequest {
            id: TokenId::random(),
            account: directory.account_named("ci").unwrap(),
            key: Some(self.key),
            scope: None,
            lifetime: self.tokens.lifetime,
        };
        let signer = directory.signing().current();
        mint(signer, &self.tokens, request, self.now).unwrap()
    }
}

fn tokens(criterion: &mut Criterion) {
    let world = World::new();
    let verifier = Verifier::new(&world.tokens, None);
    let verify = |token: &str| {
        let credential = Credential::Bearer(black_box(token));
        verifier.verify(&credential, &world.state, (world.now, None))
    };
    let token = world.token();
    verify(&token).unwrap();
    criterion.bench_function("verify a remembered token", |bench| {
        bench.iter(|| verify(&token));
    });

    let many: Vec<String> = (0..MANY).map(|_| world.token()).collect();
    let mut turn = many.iter().cycle();
    many.iter().for_each(|token| assert!(verify(token).is_ok()));
    criterion.bench_function("verify one of 50,000 remembered tokens", |bench| {
        bench.iter(|| verify(turn.next().unwrap()));
    });

    let forgetful = Verifier::new(
        &Tokens {
            cache_entries: 1,
            ..world.tokens.clone()
        },
        None,
    );
    let mut pair = many.iter().take(2).cycle();
    criterion.bench_function("verify a new token", |bench| {
        bench.iter(|| {
            let credential = Credential::Bearer(pair.next().unwrap());
            forgetful.verify(&credential, &world.state, (world.now, None))
        });
    });
    let junk = World::new().token();
    criterion.bench_function("refuse a token of an unknown signing key", |bench| {
        bench.iter(|| verify(&junk));
    });
    criterion.bench_function("make a token", |bench| bench.iter(|| world.token()));
    endpoint(criterion, &world, &verifier);
}

/// All that the token endpoint does between a body that was read and an answer.
fn endpoint(criterion: &mut Criterion, world: &World, verifier: &Verifier) {
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert("content-type", form);
    let (id, secret) = (world.key, world.secret.reveal());
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let as_often_as_possible = Rate::new(Rate::COUNT_MAX, Duration::from_secs(1)).at_once(u32::MAX);
    let rates = Rates::new(None, as_often_as_possible);
    let id = RequestIds::new().next(world.now);
    let request = TokenRequest {
        id: &id,
        method: &Method::POST,
        query: None,
        headers: &headers,
        body: body.as_bytes(),
        source: None,
        limits: Some(Limits {
            held: None,
            rates: &rates,
            tells_rates: false,
        }),
    };
    criterion.bench_function("answer a token request", |bench| {
        bench.iter(|| {
            let answer = answer(verifier, &world.state, &world.tokens, &request, world.now);
            assert_eq!(answer.outcome, "issued");
        });
    });
    let throttle = Throttle::new();
    let (source, limit) = ([192, 0, 2, 1].into(), Rate::new(3, Duration::from_secs(60)));
    let look = |bench: &mut criterion::Bencher<'_>| {
        bench.iter(|| throttle.holds(black_box(source), limit, world.now));
    };
    criterion.bench_function("look for a throttled source where there is none", look);
    for _ in 0..3 {
        throttle.failed([192, 0, 2, 2].into(), limit, world.now);
    }
    criterion.bench_function("look for a throttled source where there is another", look);
}

fn keys(criterion: &mut Criterion) {
    let world = World::new();
    let verifier = Verifier::new(&world.tokens, None);
    let mut headers = HeaderMap::new();
    let value = format!("{}.{}", world.key, world.secret.reveal());
    headers.insert("x-api-key", HeaderValue::from_str(&value).unwrap());
    let accepts = Accepts {
        basic: true,
        api_key: true,
    };
    criterion.bench_function("read and verify a key", |bench| {
        bench.iter(|| {
            let credential = read(black_box(&headers), accepts, Foreign::Counts).unwrap();
            verifier
                .verify(&credential, &world.state, (world.now, None))
                .unwrap()
        });
    });

    let value = format!("Bearer {}", world.token());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
    criterion.bench_function("read a bearer token", |bench| {
        bench.iter(|| read(black_box(&headers), accepts, Foreign::Counts).is_ok());
    });
}

criterion_group!(benches, tokens, keys);
criterion_main!(benches);
