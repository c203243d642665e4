//! The control socket from both ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::{Client, ask, place, serve};
use crate::admin::{ErrorKind, Operation, Service, open_server};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::settings::Settings;
use crate::shutdown::Tasks;

fn settings(folder: &Path, more: &str) -> Settings {
    let file = folder.join("portcullis.yaml");
    fs::create_dir_all(folder.join("policies")).unwrap();
    fs::write(&file, format!("store: sqlite:p.db\n{more}\n")).unwrap();
    Settings::load(&file).unwrap()
}

fn opened(settings: &Settings) -> Arc<Service> {
    Arc::new(open_server(settings, Arc::new(Policy::default()), Clock::System).unwrap())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn create(name: &str) -> Operation {
    let operation = serde_json::json!({ "operation": "accounts_create", "name": name });
    serde_json::from_value(operation).unwrap()
}

#[test]
fn a_command_reaches_the_running_server_and_errors_keep_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "control: ctl.sock");
    let (runtime, tasks, end) = (runtime(), Tasks::default(), CancellationToken::new());
    let service = opened(&settings);
    let path = {
        let _inside = runtime.enter();
        serve(&settings, &service, &tasks, end.clone())
            .unwrap()
            .unwrap()
    };
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let made = ask(&settings, create("ci")).unwrap();
    assert_eq!(made["name"], "ci");
    let twice = ask(&settings, create("ci")).unwrap_err();
    assert_eq!(twice.kind, ErrorKind::Conflict);
    assert_eq!(twice.message, "account `ci` exists already");
    let name = "cy".parse().unwrap();
    let unknown = ask(&settings, Operation::AccountsShow { name }).unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound);
    let status = ask(&settings, Operation::Status {}).unwrap();
    assert_eq!(status["instance"], service.instance());

    let second = {
        let _inside = runtime.enter();
        serve(&settings, &service, &tasks, end.clone()).unwrap_err()
    };
    assert!(
        second.message.contains("another server answers"),
        "{second}"
    );

    end.cancel();
    assert!(runtime.block_on(tasks.finish(Duration::from_secs(10))));
    assert!(!path.exists());
    assert!(Client::find(&settings).unwrap().is_none());
}

#[test]
fn without_a_server_a_command_opens_the_store_and_a_server_that_has_it_keeps_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "control: off");
    ask(&settings, create("ci")).unwrap();
    let service = opened(&settings);
    assert!(
        service
            .handle()
            .snapshot()
            .directory
            .account_named("ci")
            .is_some()
    );
    let error = ask(&settings, create("other")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("is in use by process"), "{error}");
    drop(service);
    ask(&settings, create("other")).unwrap();
}

#[test]
fn without_a_server_a_broken_policy_stops_only_what_needs_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "control: off");
    ask(&settings, create("ci")).unwrap();
    fs::write(folder.path().join("policies/a.yaml"), "rolls: {}\n").unwrap();
    let grant = serde_json::json!({
        "operation": "accounts_grant", "name": "ci", "role": "reader",
    });
    let error = ask(&settings, serde_json::from_value(grant).unwrap()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("a.yaml:1:1"), "{error}");
    let disable = serde_json::json!({ "operation": "accounts_disable", "name": "ci" });
    ask(&settings, serde_json::from_value(disable).unwrap()).unwrap();
}

#[test]
fn a_socket_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "control: ctl.sock");
    drop(UnixListener::bind(folder.path().join("ctl.sock")).unwrap());
    let (runtime, tasks, end) = (runtime(), Tasks::default(), CancellationToken::new());
    let service = opened(&settings);
    let _inside = runtime.enter();
    serve(&settings, &service, &tasks, end).unwrap();
    assert!(Client::find(&settings).unwrap().is_some());
}

#[test]
fn server_and_command_look_in_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "");
    let server = place::for_server(&settings).unwrap().unwrap();
    assert!(place::for_command(&settings).contains(&server));
    let mode = fs::metadata(server.parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "nobody else may enter {server:?}");
    let long = settings_with_path(folder.path(), &"x".repeat(120));
    let error = place::for_server(&long).unwrap_err();
    assert!(error.message.contains("more than 107 bytes"), "{error}");
}

fn settings_with_path(folder: &Path, name: &str) -> Settings {
    settings(folder, &format!("control: {name}"))
}
