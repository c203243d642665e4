//! What the command line takes, and what it refuses.

use super::*;
use crate::words::KeyId;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = std::iter::once("portcullis").chain(line.split_whitespace());
    Cli::from_arg_matches(&tree().try_get_matches_from(words)?)
}

/// One line at least for each command; `KEY` stands for the id of a key.
const GOOD: &[&str] = &[
    "serve",
    "demo",
    "demo --check",
    "demo --upstream http://127.0.0.1:3000 --policies policies",
    "init",
    "init gateway --upstream http://127.0.0.1:3000",
    "check",
    "check policies -o json",
    "can-i GET /a --as ci",
    "can-i GET /a",
    "explain DELETE /a?b=c --as ci --from 10.0.0.1 --host api.example.com --header X-Site:7",
    "can-i --list --as ci",
    "can-i GET /a --role reader --within tenant=acme --policies policies",
    "explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70",
    "explain URN:UUID:019AAB5F-2C1E-7D53-9F0A-5B1C6E2D4F70",
    "routes matrix --by route --account ci --csv",
    "permissions who devices:view",
    "denials list --account ci --route /a --reason permission_missing --since 1h --shadow --limit 5",
    "denials tail --shadow",
    "denials top",
    "accounts create ci --description Builds --role operator --within tenant=acme,globex",
    "accounts create ci --role a --role b --within tenant=acme --within site=7 --allow-from 10.0.0.0/8",
    "accounts list",
    "accounts show ci",
    "accounts update ci --allow-from-anywhere",
    "accounts grant ci --role operator --within tenant=acme",
    "accounts ungrant ci --role operator",
    "accounts disable ci",
    "accounts enable ci",
    "accounts delete ci --yes",
    "keys create ci --expires 90d",
    "accounts apply -f team.yaml --set team --prune --dry-run",
    "keys list",
    "keys list --unused 90d --expiring 14d --limit 10",
    "keys create ci -o env",
    "keys create ci -o k8s-secret --only devices:view --allow-from 10.0.0.0/8",
    "keys create ci --secret-file ci.secret",
    "keys update KEY --only devices:view --allow-from-anywhere",
    "keys import ci --sha256 0000000000000000000000000000000000000000000000000000000000000000",
    "keys list ci -o name",
    "keys rotate KEY --overlap 1h",
    "keys expire KEY",
    "keys expire KEY --at 2h",
    "roles create reader --permission devices:view --include base",
    "roles list",
    "roles show reader",
    "roles update reader --description x",
    "roles delete reader",
    "groups create g --role reader",
    "groups list",
    "groups show g",
    "groups add g ci",
    "groups remove g ci",
    "groups grant g --role r",
    "groups ungrant g --role r",
    "groups delete g",
    "tokens issue ci --scope devices:view --lifetime 5m",
    "tokens inspect",
    "tokens list ci",
    "tokens revoke 3kTMd8Z0xV1bQyLw7nPsHc",
    "tokens keys",
    "tokens rotate-key",
    "audit list --account ci --since 7d --limit 5",
    "audit tail --event key",
    "audit export --cursor c --follow",
    "audit verify --anchor a.txt",
    "audit anchor",
    "tokens inspect --token-file t",
    "routes import api.json --write api.yaml --within tenant=org_id,site=site_id --read-methods GET,HEAD",
    "routes import a.json b.yaml --merge api.yaml --check --server 2 --server-variable v=1",
    "routes export --policies policies --title Inventory",
    "init --openapi api.json --permission-from operation-id",
    "routes list",
    "routes import api.json",
    "routes overlaps",
    "routes match get /v1/devices",
    "routes overlaps --incomparable --policies policies",
    "permissions list",
    "store status -o json",
    "store backup b.db --pepper-file p",
    "store restore b.db --dry-run",
    "store migrate",
    "status -c portcullis.yaml",
    "reload",
    "drain -q",
    "login https://gate.example.com:7081 --name prod --key-file k --ca-file ca.pem",
    "logout prod",
    "whoami --server https://gate.example.com",
    "contexts list",
    "contexts use prod",
    "accounts list --context prod",
    "completions bash",
    "man --dir pages",
    "version -o json",
    "schema",
    "schema settings",
    "schema policy --dir schemas",
    "routes import --from oathkeeper rules.json --strict",
    "check policies --against before --allow-widening --coverage --fail-under 80 --fail-on warning",
    "key list",
    "account list",
];

#[test]
fn the_tree_is_sound() {
    tree().debug_assert();
}

#[test]
fn every_command_of_the_contract_parses() {
    let key = KeyId::random();
    for line in GOOD {
        if let Err(error) = parse(&line.replace("KEY", key.as_str())) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn every_command_has_a_line_that_parses() {
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name()).trim().to_owned();
        if !command.has_subcommands() {
            found.push(path);
            return;
        }
        let path = path.strip_prefix("portcullis").unwrap_or(&path);
        command
            .get_subcommands()
            .for_each(|sub| leaves(sub, path, found));
    }
    let mut found = Vec::new();
    leaves(&tree(), "", &mut found);
    let untried = |path: &&String| !GOOD.iter().any(|line| line.starts_with(path.as_str()));
    assert_eq!(found.iter().find(untried), None, "add a line to GOOD");
}

#[test]
fn a_wrong_command_line_is_usage() {
    for (line, told) in [
        ("frobnicate", "unrecognized subcommand"),
        ("accounts", "Usage:"),
        ("accounts create", "<NAME>"),
        ("accounts create Ci", "not an account name"),
        ("explain 019aab5f-2c1e-7d53-9f0a", "`explain REQUEST-ID`"),
        ("explain gett /a", "did you mean `GET`"),
        ("can-i", "<METHOD>"),
        ("can-i GET /a --as ci --role reader", "cannot be used with"),
        ("denials list --reason permision_missing", "did you mean"),
        ("accounts create ci --within tenant", "`dimension=value`"),
        ("accounts grant ci", "--role"),
        ("can-i FETCH /a", "expected one of GET, HEAD"),
        ("can-i GET a", "starts with `/`"),
        ("keys create ci --expires soon", "such as `90d`"),
        ("keys create ci --secret s", "unexpected argument"),
        // A wrong checksum is told here, before any server is asked.
        (
            "keys expire pck_0000000000000000000000000000",
            "not a key id",
        ),
        ("accounts list -o xml", "possible values: table, json"),
        ("demo --upstream http://127.0.0.1:3000", "--policies"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(told), "{line}: {error}");
    }
}

#[test]
fn what_is_no_method_is_told_what_was_expected_and_no_list() {
    let told = parse("explain nonsense").unwrap_err().to_string();
    assert!(
        told.contains("`explain METHOD PATH --as ACCOUNT`"),
        "{told}"
    );
    assert!(!told.contains("PROPFIND"), "{told}");
}

#[test]
fn no_flag_takes_a_secret() {
    fn flags(command: &clap::Command, found: &mut Vec<String>) {
        let longs = command.get_arguments().filter_map(clap::Arg::get_long);
        found.extend(longs.map(str::to_owned));
        command.get_subcommands().for_each(|sub| flags(sub, found));
    }
    let mut found = Vec::new();
    flags(&tree(), &mut found);
    for secret in ["secret", "token", "password", "pepper"] {
        assert!(!found.iter().any(|flag| flag == secret), "--{secret}");
    }
}

#[test]
fn help_leads_with_examples() {
    let help = parse("accounts create --help").unwrap_err().to_string();
    let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
    assert!(examples < usage && examples.is_some(), "{help}");
}
