//! `routes import --from`: what people come with becomes a policy, and what does not is said.
//!
//! The inputs in `tests/importers/` are in the formats of those projects and written for here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn portcullis(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// From what, which file, lines of the policy, and what the report says.
const CASES: [(&str, &str, &[&str], &[&str]); 3] = [
    (
        "oathkeeper",
        "tests/importers/oathkeeper.json",
        &[
            "/catalogue/items/{p1}",
            "items:read",
            "/assets/{rest...}",
            "review_public",
        ],
        &[
            "oathkeeper.json:6:",
            "the route is wider than the rule",
            "`strip_path` `/assets` is not carried over",
            "rule `closed` refuses everybody",
            "rule `look-ahead` is not carried over",
            "mutator `header`",
        ],
    ),
    (
        "kube-rbac-proxy",
        "tests/importers/kube-rbac-proxy.yaml",
        &[
            "/healthz",
            "review_public",
            "/metrics",
            "metrics:view",
            "/api/{p1}/series",
        ],
        &[
            "kube-rbac-proxy.yaml:14:",
            "`--upstream` is not carried over",
            "`--logtostderr`",
        ],
    ),
    (
        "nginx",
        "tests/importers/nginx.conf",
        &[
            "/health",
            "review_public",
            "/orders/{rest...}",
            "orders:view",
            "/customers/{p1}/address",
        ],
        &[
            "nginx.conf:5:",
            "`include conf.d/more.conf` is not read",
            "it has no `proxy_pass`",
            "the route is wider",
        ],
    ),
];

#[test]
fn each_becomes_a_policy_and_a_report() {
    for (from, file, lines, notes) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policies/api.yaml");
        let to = policy.to_str().unwrap();
        let done = portcullis(&[
            "routes", "import", "--from", from, file, "--write", to, "--notes", "-o", "json",
        ]);
        let (answer, report) = (text(&done.stdout), text(&done.stderr));
        assert!(done.status.success(), "{from}: {report}");
        let written = fs::read_to_string(&policy).unwrap();
        for line in lines {
            assert!(
                written.contains(line),
                "{from}: `{line}` is not in\n{written}"
            );
        }
        for note in notes {
            assert!(
                report.contains(note),
                "{from}: `{note}` is not in\n{report}"
            );
            let json = serde_json::to_string(note).unwrap();
            assert!(
                answer.contains(json.trim_matches('"')),
                "{from}: `{note}` is not in\n{answer}"
            );
        }
        // Nothing is open, in whatever way that is written; and it stays refused until a person decides.
        assert!(
            !written.lines().any(|line| line.contains(": public")),
            "{written}"
        );
        let checked = check(folder.path(), &written);
        assert_eq!(
            checked.status.code(),
            Some(1),
            "{from}: {}",
            text(&checked.stderr)
        );
        let decided = written.replace("review_public", "any_account");
        let checked = check(folder.path(), &decided);
        assert!(
            checked.status.success(),
            "{from}: {}\n{written}",
            text(&checked.stderr)
        );
    }
}

fn check(folder: &Path, policy: &str) -> Output {
    fs::write(folder.join("policies/api.yaml"), policy).unwrap();
    let settings = folder.join("portcullis.yaml");
    fs::write(
        &settings,
        "upstreams: { api: { url: 'http://127.0.0.1:3000' } }\n",
    )
    .unwrap();
    portcullis(&["-c", settings.to_str().unwrap(), "check"])
}

#[test]
fn strict_fails_where_something_stays_behind() {
    for (from, file, ..) in CASES {
        let done = portcullis(&["routes", "import", "--from", from, file, "--strict"]);
        assert_eq!(done.status.code(), Some(1), "{from}");
        assert!(text(&done.stderr).contains("could not be carried over"));
    }
    let other = portcullis(&["routes", "import", "--from", "nginx", CASES[0].1]);
    assert_eq!(
        other.status.code(),
        Some(1),
        "rules of one are not those of another"
    );
}
