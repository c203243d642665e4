//! Which server a command goes to, and by what it is believed: contexts, environment, certificates.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Remote, keep, told};
use crate::harness::{Fixture, Gateway, Upstream};

/// What a command says of the server it asked through the control socket.
const HERE: &str = "this machine";

/// A machine without settings, on which somebody works.
struct Desk {
    home: TempDir,
}

impl Desk {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        Self { home }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("portcullis/contexts.yaml")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("NO_COLOR", "1");
        for name in ["CONFIG", "SERVER", "CONTEXT", "KEY_FILE", "CA_FILE"] {
            command.env_remove(format!("PORTCULLIS_{name}"));
        }
        command
    }

    fn ends(&self, line: &str, code: i32) -> (String, String) {
        told(&self.command(line).output().unwrap(), line, code)
    }

    fn with_input(&self, line: &str, input: &str) -> Output {
        let mut command = self.command(line);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }
}

#[test]
fn a_key_is_kept_once_the_server_took_it_and_for_nobody_else() {
    let (remote, desk) = (Remote::start(), Desk::new());
    let (_, said) = desk.ends("accounts list", 2);
    assert!(said.contains("no settings file"), "{said}");
    let (_, said) = desk.ends(&format!("accounts list --server {}", remote.url), 4);
    assert!(said.contains("portcullis login"), "{said}");

    // From a pipe, as another command hands it over.
    let key = fs::read_to_string(&remote.key).unwrap();
    let login = format!("login {} --name prod -o json", remote.url);
    let (printed, said) = told(&desk.with_input(&login, &key), "login", 0);
    assert!(
        printed.contains("\"root\"") && !printed.contains("pcs_"),
        "{printed}"
    );
    assert!(!said.contains("pcs_"), "{said}");
    let mode = fs::metadata(desk.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (printed, _) = desk.ends("accounts list -o name", 0);
    assert_eq!(printed, "root\n");
    let (printed, _) = desk.ends("whoami", 0);
    for part in ["prod", "root", "portcullis.keys:edit", &remote.url] {
        assert!(printed.contains(part), "{part}: {printed}");
    }

    // What the server does not take is not kept.
    let before = fs::read_to_string(desk.file()).unwrap();
    let wrong = key.replace("pcs_", "pcs_x");
    told(&desk.with_input(&login, &wrong), "a broken key", 2);
    let other = portcullis::words::Secret::random();
    let id = key.split(['=', '\n']).nth(1).unwrap();
    let wrong = format!("{id} {}", other.reveal());
    let (_, said) = told(&desk.with_input(&login, &wrong), "a wrong key", 4);
    assert!(!said.contains(other.reveal()), "{said}");
    assert_eq!(fs::read_to_string(desk.file()).unwrap(), before);

    // Another one beside it, and back.
    desk.ends(
        &format!(
            "login {} --name other --key-file {}",
            remote.url,
            remote.key.display()
        ),
        0,
    );
    let (printed, _) = desk.ends("contexts list -o name", 0);
    assert_eq!(printed, "local\nprod\nother\n");
    desk.ends("contexts use local", 0);
    desk.ends("accounts list", 2);
    desk.ends("accounts list --context prod", 0);
    desk.ends("contexts use nowhere", 5);
    desk.ends("contexts use prod", 0);
    let (_, said) = desk.ends("accounts delete root", 2);
    assert!(said.contains(&remote.url), "{said}");
    desk.ends("logout", 0);
    desk.ends("accounts list", 2);
    desk.ends("logout", 5);
    desk.ends("accounts list --context other", 0);
}

#[test]
fn what_is_done_to_files_of_this_machine_is_done_here_whatever_was_chosen() {
    let (mut remote, desk) = (Remote::start(), Desk::new());
    let login = format!("login {} --key-file {}", remote.url, remote.key.display());
    desk.ends(&login, 0);
    let folder = remote.gateway.files().config().parent().unwrap().to_owned();
    // The settings are found where the command is run, and nobody names them.
    let here = |line: &str, code: i32| {
        let mut command = desk.command(line);
        let output = command.current_dir(&folder).output().unwrap();
        told(&output, line, code)
    };
    assert!(here("whoami", 0).0.contains(&remote.url));
    here("store status", 0);
    here("store backup kept.db", 0);
    remote.gateway.signal(Signal::TERM);
    remote.gateway.wait();
    for line in [
        "store restore kept.db",
        "store restore kept.db --context local",
    ] {
        let (_, said) = here(line, 2);
        assert!(
            said.contains("nothing done") && !said.contains(&remote.url),
            "{said}"
        );
    }
    here("store restore kept.db --yes", 0);
}

#[test]
fn what_is_said_counts_before_what_stands_in_the_environment_and_that_before_what_was_chosen() {
    let (remote, desk) = (Remote::start(), Desk::new());
    let login = format!("login {} --key-file {}", remote.url, remote.key.display());
    desk.ends(&login, 0);
    let config = remote.gateway.files().config().display().to_string();
    let whoami = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = desk.command("whoami -o json");
        command.args(words).envs(variables.iter().copied());
        let (printed, _) = told(&command.output().unwrap(), "whoami", 0);
        let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
        told["server"].as_str().unwrap().to_owned()
    };
    let there = remote.url.as_str();
    let file = ("PORTCULLIS_CONFIG", config.as_str());
    let server = ("PORTCULLIS_SERVER", there);
    for (words, variables, expected) in [
        (&[][..], &[][..], there),
        (&[], &[file], HERE),
        (&[], &[server], there),
        (&[], &[file, server], there),
        (&["-c", &config], &[], HERE),
        (&["-c", &config], &[server], HERE),
        (&["-c", &config, "--server", there], &[], there),
        (&["--context", "local", "-c", &config], &[server], HERE),
        (&["--context", "127.0.0.1", "-c", &config], &[], there),
    ] {
        assert_eq!(
            whoami(words, variables),
            expected,
            "{words:?} {variables:?}"
        );
    }
    // Over the socket the user is said, by his id.
    let over_socket = remote.gateway.json(&["whoami"]);
    let me = rustix::process::geteuid().as_raw();
    assert_eq!(over_socket["uid"], me, "{over_socket}");
}

#[test]
fn a_file_of_contexts_that_others_may_open_or_nobody_can_read_is_not_used() {
    let (remote, desk) = (Remote::start(), Desk::new());
    let login = format!("login {} --key-file {}", remote.url, remote.key.display());
    desk.ends(&login, 0);
    let mode = |mode| fs::set_permissions(desk.file(), fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o640, 0o604, 0o660] {
        mode(open);
        for line in ["accounts list", "contexts list", "logout", &login] {
            let (_, said) = desk.ends(line, 2);
            assert!(
                said.contains("chmod 600") && !said.contains("pcs_"),
                "{line}: {said}"
            );
        }
    }
    mode(0o600);
    let text = fs::read_to_string(desk.file()).unwrap();
    fs::write(desk.file(), text.replace("key_id", "key_ide")).unwrap();
    let (_, said) = desk.ends("accounts list", 1);
    assert!(
        said.contains("contexts.yaml:") && said.contains("did you mean `key_id`"),
        "{said}"
    );
    assert!(!said.contains("pcs_"), "{said}");
    // Whoever brings a key and says where is not held up by it.
    let server = format!(
        "accounts list --server {} --key-file {}",
        remote.url,
        remote.key.display()
    );
    desk.ends(&server, 0);
}

#[test]
fn two_logins_at_once_are_both_kept() {
    let (remote, desk) = (Remote::start(), Desk::new());
    let children: Vec<_> = (0..4)
        .map(|number| {
            let line = format!(
                "login {} --name s{number} --key-file {}",
                remote.url,
                remote.key.display()
            );
            let mut command = desk.command(&line);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (printed, _) = desk.ends("contexts list -o name", 0);
    let mut names: Vec<_> = printed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["local", "s0", "s1", "s2", "s3"]);
}

#[test]
fn what_the_readme_does_from_elsewhere_works_as_it_is_printed() {
    let (remote, desk) = (Remote::start(), Desk::new());
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, rest) = readme
        .split_once("\n## Manage it from elsewhere\n")
        .unwrap();
    let (_, block) = rest.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.lines().count() > 4, "{block}");
    for line in block.lines() {
        let line = line.split(" #").next().unwrap();
        let line = line.strip_prefix("portcullis ").unwrap();
        let line = line.replace("https://gate.example.com:7081", &remote.url);
        desk.ends(&line.replace("ops.key", remote.key.to_str().unwrap()), 0);
    }
}

/// A gateway whose admin API speaks TLS, with a certificate for this machine that nobody has signed.
fn secure() -> (Upstream, Gateway, PathBuf) {
    let upstream = Upstream::start();
    let tls = ", tls: { certificate: admin.crt, key: admin.key }";
    let files = Fixture::new(&upstream).admin(tls).write();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    files.write("admin.crt", &certified.cert.pem());
    files.write("admin.key", &certified.signing_key.serialize_pem());
    let gateway = Gateway::start(files);
    let key = gateway.account("root", &["portcullis-admin"]);
    let key = keep(gateway.files(), "root.key", &key);
    (upstream, gateway, key)
}

#[test]
fn a_server_is_believed_by_its_roots_alone() {
    let (_upstream, gateway, key) = secure();
    let desk = Desk::new();
    let port = gateway.address_of("admin").port();
    let line = |host: &str, more: &str| {
        format!(
            "accounts list --server https://{host}:{port} --key-file {} {more}",
            key.display()
        )
    };
    let (_, said) = desk.ends(&line("localhost", ""), 3);
    assert!(
        said.contains("is not believed") && said.contains("--ca-file"),
        "{said}"
    );
    let roots = gateway.files().path("admin.crt");
    let roots = format!("--ca-file {}", roots.display());
    desk.ends(&line("localhost", &roots), 0);
    desk.ends(&line("127.0.0.1", &roots), 0);
    // Signed for somebody else.
    let other = gateway.files().path("tls.crt");
    desk.ends(
        &line("localhost", &format!("--ca-file {}", other.display())),
        3,
    );
    let missing = Path::new("no.pem");
    let (_, said) = desk.ends(
        &line("localhost", &format!("--ca-file {}", missing.display())),
        2,
    );
    assert!(said.contains("no.pem"), "{said}");
    // A context remembers its roots.
    let login = format!(
        "login https://localhost:{port} --key-file {} {roots}",
        key.display()
    );
    desk.ends(&login, 0);
    let (printed, _) = desk.ends("accounts list -o name", 0);
    assert_eq!(printed, "root\n");
    // The same port in the clear is no admin API.
    let clear = format!(
        "accounts list --server http://localhost:{port} --key-file {}",
        key.display()
    );
    desk.ends(&clear, 3);
}
