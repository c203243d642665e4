//! From a refused call to the one line that would allow it, and the questions an auditor has.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Files, Fixture, Gateway, Message, PATIENCE, Upstream, request, until};

/// Items of tenants, and an account that stands in a file.
const TENANTS: &str = r"
upstream: items
within: { tenant: path.tenant }
dimensions: { tenant: The customer }
permissions:
  items:read: See items
  items:write: Change items
  audit:read: See the audit log
roles:
  reader: { description: Sees items, permissions: [items:read] }
  writer: { description: Changes items, include: [reader], permissions: [items:write] }
  owner: { description: Everything, permissions: ['items:*', audit:read] }
groups:
  night: { description: Night jobs, members: [nightly], grants: [{ role: reader }] }
routes:
  GET /v1/{tenant}/items: items:read
  PUT /v1/{tenant}/items/{id}: items:write
  DELETE /v1/{tenant}/items/{id}: items:write
  GET /v1/audit: { needs: audit:read, within: unlimited }
  GET /v1/search: { needs: items:read, within: { tenant: query.tenant } }
accounts:
  nightly: { description: Exports, grants: [{ role: writer, within: { tenant: [acme] } }] }
";

fn fixture(upstream: &Upstream) -> Fixture {
    Fixture::new(upstream).policy("items.yaml", TENANTS)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs `line`, which must end with `code`; what it printed, and what it said.
fn ends(files: &Files, line: &str, code: i32) -> (String, String) {
    let output = files.cli(&words(line));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (printed, said) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    (printed, said)
}

fn id(answer: &Message) -> String {
    answer
        .header("x-request-id")
        .expect("every answer has one")
        .to_owned()
}

/// What `explain` says of a refusal, as soon as it is known.
fn told(gateway: &Gateway, id: &str) -> Value {
    let mut told = Value::Null;
    until("a refusal to be explained", PATIENCE, || {
        let output = gateway.cli(&["explain", id, "-o", "json"]);
        told = serde_json::from_slice(&output.stdout).unwrap_or_default();
        told.is_object()
    });
    told
}

fn account(gateway: &Gateway, name: &str, more: &str) -> String {
    gateway.json(&words(&format!("accounts create {name} {more}")));
    gateway.token(&gateway.key(name))
}

#[test]
fn a_refusal_is_followed_to_the_command_that_allows_it() {
    let upstream = Upstream::start();
    let mut gateway = fixture(&upstream).start();
    let token = account(&gateway, "ci", "--role reader --within tenant=acme");
    let call = "PUT /v1/acme/items/7";
    let refused = gateway.ask(call, Some(&token));
    assert_eq!(refused.status(), 403);
    let told = told(&gateway, &id(&refused));
    assert_eq!(told["then"], "`ci` lacked items:write");
    assert_eq!(
        (&told["changed"], &told["now"]["reason"]),
        (&json!(false), &json!("permission_missing"))
    );
    let remedy = &told["now"]["remedies"][0];
    let command = "portcullis accounts grant ci --role writer --within tenant=acme";
    assert_eq!(
        remedy["changes"],
        json!([{ "kind": "command", "change": command }])
    );
    assert_eq!(
        remedy["opens"],
        json!({ "operations": 1, "some": ["DELETE /v1/{tenant}/items/{id} within tenant acme"] })
    );

    // It is the same after a restart, and in words.
    until("the store to know", PATIENCE, || {
        let listed = gateway.json(&["denials", "list"]);
        listed.as_array().is_some_and(|all| !all.is_empty())
    });
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.wait().success());
    let gateway = Gateway::start(gateway.files().clone());
    let (printed, _) = ends(gateway.files(), &format!("explain {}", id(&refused)), 1);
    for line in [
        "PUT /v1/acme/items/7 by `ci` from 127.0.0.1 was refused: 403 permission_missing: `ci` lacked items:write",
        "Now it would be decided in the same way:",
        "no  permission  `ci` lacks items:write; roles that give it: owner, writer",
        "  portcullis accounts grant ci --role writer --within tenant=acme",
        "      opens 1 more: DELETE /v1/{tenant}/items/{id} within tenant acme",
    ] {
        assert!(printed.contains(line), "no `{line}` in {printed}");
    }

    // The line is run as it is printed, and the call goes through.
    ends(
        gateway.files(),
        command.trim_start_matches("portcullis "),
        0,
    );
    let token = gateway.token(&gateway.key("ci"));
    assert_eq!(gateway.ask(call, Some(&token)).status(), 200);
    let (printed, _) = ends(gateway.files(), &format!("explain {}", id(&refused)), 0);
    assert!(
        printed.contains("Now it would be decided differently:"),
        "{printed}"
    );
}

#[test]
fn how_often_one_may_call_is_told_with_what_he_may_call() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy(
            "more.yaml",
            "upstream: items\nroutes:\n  GET /v1/slow: { needs: items:read, rate: 9/s, rate_per_account: 2/m }\n",
        )
        .settings("rates: { account: 30/m }")
        .start();
    gateway.account("ci", &["reader"]);
    let files = gateway.files();
    let (told, _) = ends(files, "explain GET /v1/slow --as ci", 0);
    for rate in [
        "9/s by all together",
        "2/m by each account",
        "30/m by each account on all routes together",
    ] {
        assert!(told.contains(rate), "{told}");
    }
    let (told, _) = ends(files, "explain GET /v1/items/7 --as ci", 0);
    assert!(told.contains("30/m by each account"), "{told}");
    // Whoever is refused is told what is in his way, and no more.
    let (told, _) = ends(files, "explain GET /v1/slow", 1);
    assert!(!told.contains("30/m"), "{told}");
}

#[test]
fn what_a_file_says_is_changed_by_a_line_for_the_file() {
    let upstream = Upstream::start();
    let files = fixture(&upstream).write();
    let line = "explain GET /v1/umbrella/items --policies policies --as nightly -o json";
    let line = line.replace(
        "policies --as",
        &format!("{} --as", files.path("policies").display()),
    );
    // Of the group the account holds reader everywhere, so that is allowed; writing is not.
    assert!(ends(&files, &line, 0).0.contains("group `night`"));
    let line = line.replace("GET /v1/umbrella/items", "DELETE /v1/umbrella/items/7");
    let told: Value = serde_json::from_str(&ends(&files, &line, 1).0).unwrap();
    let change = &told["remedies"][0]["changes"][0];
    assert_eq!(
        change["change"],
        "- { role: writer, within: { tenant: [umbrella] } }"
    );
    assert_eq!(change["into"], "`grants` of account `nightly`");
    let place = change["file"].as_str().unwrap();
    let (file, place) = place.rsplit_once("items.yaml:").unwrap();
    assert!(file.ends_with("policies/"), "{file}");
    // Line and column lead to the last grant; what is printed is written beside it.
    let number: usize = place.split(':').next().unwrap().parse().unwrap();
    assert!(TENANTS.lines().nth(number - 1).unwrap().contains("nightly"));
    let added = change["change"].as_str().unwrap().trim_start_matches("- ");
    let mended = TENANTS.replace(
        "{ tenant: [acme] } }]",
        &format!("{{ tenant: [acme] }} }}, {added}]"),
    );
    files.write("policies/items.yaml", &mended);
    ends(&files, &line, 0);
}

#[test]
fn files_alone_answer_without_settings_server_or_store() {
    let upstream = Upstream::start();
    let files = fixture(&upstream).write();
    std::fs::remove_file(files.config()).unwrap();
    let policies = files.path("policies");
    let policies = policies.display();
    let ask = |line: &str, code| ends(&files, &format!("{line} --policies {policies}"), code).0;
    assert_eq!(ask("can-i GET /v1/acme/items --as nightly", 0), "yes\n");
    assert_eq!(
        ask(
            "can-i PUT /v1/acme/items/7 --role reader --within tenant=acme",
            1
        ),
        "no: permission_missing: `somebody` lacks items:write; roles that give it: owner, writer\n"
    );
    assert_eq!(
        ask(
            "can-i PUT /v1/acme/items/7 --role writer --within tenant=acme",
            0
        ),
        "yes\n"
    );
    assert_eq!(
        ask(
            "can-i PUT /v1/umbrella/items/7 --role writer --within tenant=acme",
            1
        ),
        "no: outside_boundary: `somebody` holds items:write within tenant acme, not umbrella\n"
    );
    ask("can-i GET /v1/acme/items --as nobody", 5);
    let table = ask("can-i --list --role reader --within tenant=acme", 0);
    assert!(
        table.contains("/v1/{tenant}/items  tenant acme  reader"),
        "{table}"
    );
    assert!(!files.path("portcullis.db").exists());
    files.write("policies/items.yaml", "routs: {}\n");
    let (_, said) = ends(
        &files,
        &format!("can-i GET /v1/acme/items --policies {policies}"),
        1,
    );
    assert!(said.contains("items.yaml:1:1"), "{said}");
}

#[test]
fn an_id_that_leads_nowhere_says_why() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = account(&gateway, "ci", "--role reader");
    let allowed = gateway.ask("GET /v1/acme/items", Some(&token));
    let (_, said) = ends(gateway.files(), &format!("explain {}", id(&allowed)), 5);
    for told in [
        "Only what was refused is",
        "17days",
        "4096",
        "20000",
        "X-Request-Id",
    ] {
        assert!(said.contains(told), "no `{told}` in {said}");
    }
    let (_, said) = ends(gateway.files(), "explain GET", 2);
    assert!(said.contains("needs a path"), "{said}");
    let (_, said) = ends(gateway.files(), "explain 1234", 2);
    assert!(said.contains("019aab5f-"), "{said}");
}

#[test]
fn a_boundary_in_the_query_is_remembered_and_nothing_else_of_it() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = account(&gateway, "ci", "--role reader --within tenant=acme");
    let refused = gateway.ask("GET /v1/search?q=hush&tenant=umbrella", Some(&token));
    assert_eq!(refused.status(), 403);
    let told = told(&gateway, &id(&refused));
    assert_eq!(told["now"]["reason"], "outside_boundary");
    assert!(!told.to_string().contains("hush"), "{told}");
    let change = &told["now"]["remedies"][0]["changes"][0]["change"];
    assert_eq!(
        change,
        "portcullis accounts grant ci --role reader --within tenant=umbrella"
    );
    gateway.json(&words(
        "accounts grant ci --role reader --within tenant=umbrella",
    ));
    let told = self::told(&gateway, &id(&refused));
    assert_eq!(
        (&told["changed"], &told["now"]["allowed"]),
        (&json!(true), &json!(true))
    );
}

#[test]
fn what_cannot_be_decided_again_is_said() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = account(&gateway, "ci", "--role reader --within tenant=acme");
    let refused = gateway.ask("PUT /v1/acme/items/7", Some(&token));
    let stranger = gateway.ask("GET /v1/acme/items", None);
    let wrong = gateway.ask("GET /v1/acme/items", Some("pcs_nothing"));
    told(&gateway, &id(&refused));
    gateway.json(&words("accounts delete ci --yes"));
    let note = |answer: &Message| told(&gateway, &id(answer))["note"].clone();
    assert!(note(&refused).as_str().unwrap().contains("`ci` is gone"));
    assert!(note(&wrong).as_str().unwrap().contains("not kept"));
    let told = told(&gateway, &id(&stranger));
    assert_eq!(told["now"]["reason"], "credential_missing");
    assert_eq!(told["now"]["remedies"][0]["changes"][0]["kind"], "advice");
}

#[test]
fn an_address_that_may_not_call_is_added_to_those_that_may() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = account(&gateway, "ci", "--role reader");
    gateway.json(&words("accounts update ci --allow-from 10.0.0.0/8"));
    let refused = gateway.ask("GET /v1/acme/items", Some(&token));
    assert_eq!(refused.reason(), "address_not_allowed");
    let told = told(&gateway, &id(&refused));
    let change = told["now"]["remedies"][0]["changes"][0]["change"]
        .as_str()
        .unwrap();
    assert_eq!(
        change,
        "portcullis accounts update ci --allow-from 10.0.0.0/8 --allow-from 127.0.0.1/32"
    );
    ends(gateway.files(), change.trim_start_matches("portcullis "), 0);
    assert_eq!(
        gateway.ask("GET /v1/acme/items", Some(&token)).status(),
        200
    );
}

#[test]
fn an_auditor_sees_who_may_do_what() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    account(&gateway, "ci", "--role owner --within tenant=acme");
    let who = gateway.json(&words("permissions who items:read"));
    let rows: Vec<_> = who.as_array().unwrap().iter().collect();
    let row = |account: &str, role: &str, within: Value, group: Value| json!({ "account": account, "enabled": true, "role": role, "within": within, "group": group });
    assert_eq!(
        rows,
        [
            &row("ci", "owner", json!({ "tenant": ["acme"] }), Value::Null),
            &row(
                "nightly",
                "writer",
                json!({ "tenant": ["acme"] }),
                Value::Null
            ),
            &row("nightly", "reader", json!({}), json!("night")),
        ]
    );
    ends(gateway.files(), "permissions who items:reed", 5);

    let matrix = gateway.json(&words("routes matrix"));
    assert_eq!(
        matrix["columns"],
        json!(["audit:read", "items:read", "items:write"])
    );
    assert_eq!(matrix["rows"][0]["cells"]["audit:read"], "tenant acme");
    assert_eq!(matrix["rows"][1]["cells"]["items:read"], "everywhere");
    let (csv, _) = ends(gateway.files(), "routes matrix --by route --csv", 0);
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(lines[0].split(',').next(), Some("account"));
    // Within a boundary the audit log, which is of everybody, is closed to the one who holds it.
    assert!(
        lines[1].starts_with("ci,tenant acme,tenant acme,tenant acme,,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("nightly,everywhere,tenant acme,tenant acme,,"),
        "{}",
        lines[2]
    );
    let (table, _) = ends(gateway.files(), "routes matrix --account ci", 0);
    assert_eq!(table.lines().count(), 2, "{table}");
    let list = gateway.json(&words("can-i --list --as ci"));
    let paths: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/v1/{tenant}/items",
            "/v1/{tenant}/items/{id}",
            "/v1/{tenant}/items/{id}",
            "/v1/search"
        ]
    );
    assert_eq!(list[1]["methods"], json!(["PUT"]));
}

/// Operations asked through the control socket, on one connection.
struct Control(UnixStream);

impl Control {
    fn ask(&mut self, operation: &Value) -> Value {
        let body = operation.to_string();
        let head = format!(
            "POST /operation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all((head + &body).as_bytes()).unwrap();
        let mut read = Vec::new();
        let mut some = [0; 16 * 1024];
        loop {
            let count = self.0.read(&mut some).unwrap();
            assert!(
                count > 0,
                "the control socket closed: {}",
                String::from_utf8_lossy(&read)
            );
            read.extend_from_slice(&some[..count]);
            let text = String::from_utf8_lossy(&read);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            });
            if body.len() >= length.unwrap().trim().parse::<usize>().unwrap() {
                return serde_json::from_str(body).unwrap();
            }
        }
    }
}

/// Law: what `can-i` says of a call is what the gateway answers to it, for every operation of an API
/// nobody here wrote, by accounts that may do all of it, some of it, some of it in places, and none;
/// and so does the table of each account.
#[test]
fn can_i_says_what_the_gateway_does_on_every_operation_of_github() {
    let upstream = Upstream::start();
    let operations = crate::github::lines();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &crate::github::policy(&operations))
        .start();
    let socket = gateway.files().path("control.sock");
    let mut control = Control(UnixStream::connect(socket).unwrap());
    let mut differ = Vec::new();
    let mut verdicts = [0, 0];
    for (name, more) in [
        ("everything", "--role everything"),
        ("views", "--role views"),
        ("bounded", "--role everything --within owner=octo"),
        ("nothing", ""),
    ] {
        let token = account(&gateway, name, more);
        let table = control.ask(&json!({ "operation": "allowed_list", "account": name }));
        let mut client = crate::harness::Client::connect(gateway.address());
        for (number, (method, template)) in operations.iter().enumerate() {
            let value = if number % 2 == 0 { "octo" } else { "other" };
            let path = crate::github::filled(template, value);
            let bearer = format!("Bearer {token}");
            let bytes = request(
                &format!("{method} {path}"),
                &[("Authorization", &bearer)],
                b"",
            );
            client.send(&bytes);
            let status = client.response().status();
            let question = json!({ "operation": "explain", "method": method, "target": path, "account": name, "brief": true });
            let answer = control.ask(&question);
            let told = if answer["allowed"] == true {
                200
            } else {
                answer["status"].as_u64().unwrap()
            };
            verdicts[usize::from(told == 200)] += 1;
            let listed = table.as_array().unwrap().iter().any(|row| {
                let here = row["path"] == template.as_str()
                    && row["methods"]
                        .to_string()
                        .contains(&format!("\"{method}\""));
                let within = row["within"].to_string();
                here && (within.contains("everywhere") || within.contains(value))
            });
            if u64::from(status) != told || listed != (status == 200) {
                differ.push(format!(
                    "{name}: {method} {path}: {status}, {told}, {listed}"
                ));
            }
        }
    }
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert!(verdicts[0] > 1000 && verdicts[1] > 1000, "{verdicts:?}");
}
