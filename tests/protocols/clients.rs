//! curl, nghttp, h2load and httpx, each over everything it can speak.

use std::process::Command;

use super::stage::{Front, Stage, said};
use crate::harness::{Behaviour, Fixture, Upstream, tool};

/// A way for curl to speak.
struct Way {
    front: Front,
    options: &'static [&'static str],
    /// What curl calls the version of the answer.
    version: &'static str,
}

const WAYS: [Way; 6] = [
    Way {
        front: Front::Clear,
        options: &["--http1.0"],
        version: "1",
    },
    Way {
        front: Front::Clear,
        options: &["--http1.1"],
        version: "1.1",
    },
    Way {
        front: Front::Clear,
        options: &["--http2-prior-knowledge"],
        version: "2",
    },
    Way {
        front: Front::Tls,
        options: &["--http1.1", "--tls-max", "1.2"],
        version: "1.1",
    },
    Way {
        front: Front::Tls,
        options: &["--http2"],
        version: "2",
    },
    Way {
        front: Front::Certified,
        options: &["--http2"],
        version: "2",
    },
];

/// More than curl sends without asking, more than a window, more than a buffer.
const LARGE: usize = 3 << 20;

/// The items, behind a gateway that speaks everything.
fn items() -> (Upstream, Stage) {
    let upstream = Upstream::start();
    let stage = Stage::of(Fixture::new(&upstream), &["writer"]);
    (upstream, stage)
}

/// curl, about to ask `path`.
fn curl(stage: &Stage, way: &Way, path: &str) -> Command {
    let scheme = if way.front == Front::Clear {
        "http"
    } else {
        "https"
    };
    let at = stage.at(way.front);
    let port = at.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
        .args(["--resolve", &format!("gate.test:{port}:127.0.0.1")])
        .args(["--cacert", &stage.file("tls.crt")])
        // Longer than the test lasts: only an answer makes it go on.
        .args(["--expect100-timeout", "15"])
        .args(["--write-out", "\n%{http_code} %{http_version} %{size_upload} %{size_download}"])
        .args(way.options)
        .arg(format!("{scheme}://gate.test:{port}{path}"));
    if way.front == Front::Certified {
        command.args([
            "--cert",
            &stage.file("clients.crt"),
            "--key",
            &stage.file("client.key"),
        ]);
    }
    command
}

/// What curl got, and in its words: status, version, bytes sent, bytes received.
fn answer(command: &mut Command) -> (String, Vec<String>) {
    let (success, said) = said(command);
    assert!(success, "{command:?}:\n{said}");
    let (body, words) = said
        .rsplit_once('\n')
        .expect("curl writes a line at its end");
    (
        body.to_owned(),
        words.split(' ').map(str::to_owned).collect(),
    )
}

#[test]
fn curl_calls_over_everything_it_speaks() {
    let (upstream, stage) = items();
    for way in &WAYS {
        let what = format!("{:?} {:?}", way.front, way.options);
        let get = |path: &str, more: &[&str]| {
            let mut command = curl(&stage, way, path);
            answer(command.args(["--oauth2-bearer", &stage.token]).args(more))
        };
        let (body, words) = get("/v1/items/7?a=b%20c", &[]);
        assert_eq!(body, r#"{"ok":true}"#, "{what}");
        assert_eq!(words[..2], ["200", way.version], "{what}");
        let (head, words) = get("/v1/items/8", &["--head"]);
        assert!(
            head.to_lowercase().contains("content-length: 11"),
            "{what}: {head}"
        );
        assert_eq!(words[..2], ["200", way.version], "{what}");
        let (_, words) = get("/v1/items", &["--data-raw", "one two"]);
        assert_eq!(words, ["200", way.version, "7", "11"], "{what}");
        let (_, words) = get("/v1/items/7", &["--request", "DELETE"]);
        assert_eq!(words[..2], ["403", way.version], "{what}");
        let requests = upstream.requests();
        let lines: Vec<_> = requests
            .iter()
            .map(|one| (one.method(), one.target()))
            .collect();
        let expected = [
            ("GET", "/v1/items/7?a=b%20c"),
            ("HEAD", "/v1/items/8"),
            ("POST", "/v1/items"),
        ];
        assert_eq!(lines, expected, "{what}");
        assert_eq!(requests[2].body, b"one two", "{what}");
        upstream.forget();
    }
}

#[test]
fn curl_sends_and_fetches_what_is_large() {
    let (upstream, stage) = items();
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..LARGE).map(|n| (n * 7 + n / 251) as u8).collect();
    std::fs::write(file.path(), &bytes).unwrap();
    let path = file.path().to_str().unwrap();
    let upload = ["--request", "POST", "--upload-file", path];
    for way in &WAYS {
        let what = format!("{:?} {:?}", way.front, way.options);
        // The upload comes back as the body of the answer, so that both ways are busy at once.
        upstream.behave(Behaviour::echo());
        let mut command = curl(&stage, way, "/v1/items");
        command.args(["--oauth2-bearer", &stage.token, "--output", "/dev/null"]);
        let (_, words) = answer(command.args(upload));
        assert_eq!(
            words[..3],
            ["200", way.version, &LARGE.to_string()],
            "{what}"
        );
        let requests = upstream.requests();
        assert_eq!(words[3], requests[0].raw.len().to_string(), "{what}");
        assert!(requests[0].body == bytes, "{what}: other bytes arrived");
        upstream.forget();

        // Who is refused is told so, however much is on its way.
        let (problem, words) = answer(curl(&stage, way, "/v1/items").args(upload));
        assert_eq!(words[..2], ["401", way.version], "{what}");
        assert!(problem.contains("credential_missing"), "{what}: {problem}");
        assert_eq!(upstream.bytes(), 0, "{what}");
        if way.version == "1.1" {
            assert_eq!(words[2], "0", "{what}: a body was sent that nobody wants");
        }
    }
}

#[test]
fn curl_without_a_certificate_is_not_let_in_where_one_is_asked_for() {
    let (upstream, stage) = items();
    let mut way = Way {
        front: Front::Tls,
        options: &[],
        version: "2",
    };
    let mut stranger = curl(&stage, &way, "/public/x");
    assert_eq!(answer(&mut stranger).1[0], "200");
    way.front = Front::Certified;
    let mut certified = curl(&stage, &way, "/public/x");
    assert_eq!(answer(&mut certified).1[0], "200");
    let port = stage
        .at(Front::Certified)
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let mut stranger = Command::new("curl");
    stranger
        .args([
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--insecure",
        ])
        .arg(format!("https://127.0.0.1:{port}/public/x"));
    let (success, said) = said(&mut stranger);
    assert!(!success, "{said}");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn nghttp_sends_many_at_once_with_bodies_and_trailers() {
    let (upstream, stage) = items();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 100_000]).unwrap();
    for (front, scheme) in [(Front::Clear, "http"), (Front::Tls, "https")] {
        let mut command = Command::new("nghttp");
        let bearer = format!("authorization: Bearer {}", stage.token);
        command
            .args([
                "--verbose",
                "--null-out",
                "--no-verify-peer",
                "--multiply=20",
                "--no-dep",
            ])
            .args(["--header", &bearer, "--trailer", "x-last: of all"])
            .arg("--data")
            .arg(file.path())
            .arg(format!("{scheme}://{}/v1/items", stage.at(front)));
        let said = stage.run(front, &mut command);
        assert_eq!(
            said.matches(":status: 200").count(),
            20,
            "{front:?}:\n{said}"
        );
        let requests = upstream.wait_for(20);
        for request in &requests {
            assert_eq!(
                (request.method(), request.body.len()),
                ("POST", 100_000),
                "{front:?}"
            );
            assert_eq!(request.trailers, [], "no route lets them pass");
        }
        upstream.forget();
    }
}

#[test]
fn h2load_has_every_request_answered() {
    let (upstream, stage) = items();
    let bearer = format!("authorization: Bearer {}", stage.token);
    for (front, scheme, more) in [
        (Front::Clear, "http", "--h1"),
        (Front::Clear, "http", "--max-concurrent-streams=20"),
        (Front::Tls, "https", "--h1"),
        (Front::Tls, "https", "--max-concurrent-streams=20"),
    ] {
        let mut command = Command::new("h2load");
        command
            .args(["--requests=1000", "--clients=8", more, "--header", &bearer])
            .arg(format!("{scheme}://{}/v1/items/7", stage.at(front)));
        let said = stage.run(front, &mut command);
        let all = "1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(all), "{front:?} {more}:\n{said}");
        assert!(
            said.contains("status codes: 1000 2xx"),
            "{front:?} {more}:\n{said}"
        );
        assert_eq!(upstream.requests().len(), 1000, "{front:?} {more}");
        upstream.forget();
    }
}

#[test]
fn httpx_calls_over_http_1_and_2() {
    let (upstream, stage) = items();
    upstream.behave(Behaviour::echo());
    let script = "tests/protocols/with_httpx.py";
    for front in [Front::Clear, Front::Tls] {
        stage.run(front, Command::new(tool("venv/bin/python")).arg(script));
    }
}
