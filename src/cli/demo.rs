//! `portcullis demo`: the whole product on one machine, with nothing to set up.
//!
//! A small network inventory stands behind the gate, an account with a key before it, and every
//! line printed can be pasted into another terminal. `--check` makes the same calls itself, over
//! real sockets, so the demo cannot say what is not so. What it writes goes into a folder of its own
//! and is removed at the end.

mod call;
mod folder;
mod inventory;
mod script;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::output::{Output, STRONG, styled};
use super::transport::{self, Grant, Operation};
use super::{Context, Exit, Failure, init, serve, yaml};
use crate::admin;
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::policy;
use crate::settings::{Settings, Tokens};
use crate::telemetry::log;
use crate::words::{AccountName, Boundary, KeyId, RoleName};
use folder::Folder;
use inventory::Inventory;
use script::Script;

/// Where the gateway listens, if nobody else does there.
const GATEWAY_PORT: u16 = 7080;
/// Where metrics and health are served, if nobody else is there.
const OPS_PORT: u16 = 7090;
/// Where the inventory listens, if nobody else does there.
const INVENTORY_PORT: u16 = 3000;

const POLICY: &str = include_str!("demo/inventory.yaml");

/// What the demo shows.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis demo
  portcullis demo --check
  portcullis demo --upstream http://127.0.0.1:3000 --policies policies/")]
pub(super) struct Demo {
    /// Make the calls itself, say how each went, and end
    #[arg(long)]
    check: bool,
    /// Your API, in place of the demo's own: scheme and authority only, or a Unix socket
    #[arg(long, value_name = "URL", value_parser = init::upstream, requires = "policies")]
    upstream: Option<String>,
    /// The policy folder for your API
    #[arg(long, value_name = "FOLDER", requires = "upstream")]
    policies: Option<PathBuf>,
    /// Role of the demo's account under your policy; its first role if left out
    #[arg(long, requires = "policies")]
    role: Option<RoleName>,
}

/// What stands on the stage once everything runs. Fields go in this order: the gateway before the
/// API behind it, the folder last.
struct Stage {
    gateway: Running,
    address: SocketAddr,
    inventory: Option<Inventory>,
    settings: Settings,
    account: AccountName,
    grant: Grant,
    key: KeyId,
    secret: String,
    folder: Folder,
}

impl Stage {
    fn gateway_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A command of this program that speaks to the demo's gateway.
    fn command(&self, rest: &str) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| "portcullis".into());
        format!(
            "{} -c {} {rest}",
            program.display(),
            self.settings.file.display()
        )
    }
}

/// Shows everything, or checks it.
pub(super) fn run(demo: &Demo, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::server(format_args!("cannot start: {error}")))?;
    let stage = set_up(demo)?;
    introduce(&stage, context.output)?;
    let script = Script::of(&stage)?;
    if demo.check {
        let exit = script.check(&stage, &runtime, context.output)?;
        stage.gateway.stop();
        return Ok(exit);
    }
    script.print(&stage, context.output)?;
    context
        .output
        .remark("Decisions are logged here as they are made. Ctrl-C ends the demo.")?;
    stage.gateway.wait().map_err(serve::failure)?;
    Ok(Exit::Ok)
}

fn introduce(stage: &Stage, output: &mut Output) -> Result<(), Failure> {
    let behind = match &stage.inventory {
        Some(inventory) => format!("http://{} (a small network inventory)", inventory.address()),
        None => "your own".to_owned(),
    };
    let within = match stage.grant.within.is_everywhere() {
        true => "everywhere".to_owned(),
        false => format!("within {}", stage.grant.within),
    };
    output.data(format_args!(
        "{}\n  API behind  {behind}\n  gateway     {}\n  files       {} (removed at the end)\n  \
         account     `{}`, role `{}` {within}, with a key made for this run\n\n",
        styled(STRONG, "Portcullis demo"),
        stage.gateway_url(),
        stage.folder.path().display(),
        stage.account,
        stage.grant.role,
    ))
}

fn set_up(demo: &Demo) -> Result<Stage, Failure> {
    let folder = Folder::new()?;
    let inventory = match demo.upstream {
        Some(_) => None,
        None => Some(Inventory::start(listen(INVENTORY_PORT)?).map_err(cannot_start)?),
    };
    let url = match (&demo.upstream, &inventory) {
        (Some(url), _) => url.clone(),
        (None, Some(inventory)) => format!("http://{}", inventory.address()),
        (None, None) => return Err(Failure::usage("there is no API to put behind the gate")),
    };
    let policies = match &demo.policies {
        Some(policies) => std::path::absolute(policies).map_err(cannot_start)?,
        None => {
            folder.write("policies/inventory.yaml", POLICY)?;
            folder.path().join("policies")
        }
    };
    let policy = Known::of(&policies)?;
    let file = folder.write(
        "portcullis.yaml",
        &settings_text(&policies, &policy.upstreams, &url),
    )?;
    let settings = Settings::load(&file)?;

    let account: AccountName = "ci".parse().map_err(Failure::usage)?;
    let grant = grant(demo, &policy)?;
    let (key, secret) = make_key(&settings, &account, &grant)?;
    // Decisions go where `serve` writes them, so that one sees them come in; a check has a report.
    let decisions: Box<dyn Write + Send> = if demo.check {
        Box::new(std::io::sink())
    } else {
        Box::new(log::standard_output().map_err(cannot_start)?)
    };
    let gateway = app::start(settings.clone(), Clock::System, decisions).map_err(serve::failure)?;
    let address = gateway.addresses().listeners.first().copied();
    let address = address.ok_or_else(|| Failure::server("the gateway listens nowhere"))?;
    Ok(Stage {
        gateway,
        address,
        inventory,
        settings,
        account,
        grant,
        key,
        secret,
        folder,
    })
}

/// What the demo has to know of a policy.
struct Known {
    roles: Vec<RoleName>,
    upstreams: Vec<String>,
}

impl Known {
    fn of(folder: &Path) -> Result<Self, Failure> {
        let files = policy::folder::read(folder)?;
        let anything = policy::compile::Context {
            upstreams: None,
            own_endpoints: admin::own_endpoints(&Tokens::default()),
            files_only: false,
        };
        let policy = policy::compile::compile(&files, &anything)?;
        Ok(Self {
            roles: policy.roles.keys().cloned().collect(),
            upstreams: policy.upstreams.iter().map(ToString::to_string).collect(),
        })
    }
}

/// What the demo's account holds.
fn grant(demo: &Demo, policy: &Known) -> Result<Grant, Failure> {
    if demo.policies.is_none() {
        let tenant = "tenant".parse().map_err(Failure::usage)?;
        return Ok(Grant {
            role: "operator".parse().map_err(Failure::usage)?,
            within: [(tenant, "acme".to_owned())].into_iter().collect(),
        });
    }
    let role = demo.role.as_ref().or(policy.roles.first()).cloned();
    let role =
        role.ok_or_else(|| Failure::usage("the policy declares no role; name one with `--role`"))?;
    Ok(Grant {
        role,
        within: Boundary::default(),
    })
}

fn settings_text(policies: &Path, upstreams: &[String], url: &str) -> String {
    let upstreams = upstreams
        .iter()
        .map(|name| (name.clone(), json!({ "url": url })));
    let settings = json!({
        "listeners": [{ "address": free(GATEWAY_PORT) }],
        "admin": "off",
        "ops": { "address": free(OPS_PORT) },
        "policies": policies,
        "store": "sqlite:portcullis.db",
        "control": "control.sock",
        "drain": { "delay": "0s" },
        "upstreams": upstreams.collect::<serde_json::Map<_, _>>(),
    });
    format!(
        "# Made by `portcullis demo` for this run.\n{}",
        yaml::to_string(&settings)
    )
}

fn make_key(
    settings: &Settings,
    account: &AccountName,
    grant: &Grant,
) -> Result<(KeyId, String), Failure> {
    let create = Operation::AccountsCreate {
        name: account.clone(),
        description: "The demo's caller".to_owned(),
        grants: vec![grant.clone()],
        allow_from: Vec::new(),
        owner: None,
    };
    transport::ask(settings, create)?;
    let create = Operation::KeysCreate {
        account: account.clone(),
        description: "Made by `portcullis demo`".to_owned(),
        expires_at: None,
        only: Vec::new(),
        allow_from: Vec::new(),
    };
    let answer = transport::ask(settings, create)?;
    let text = |field: &str| answer.get(field).and_then(Value::as_str);
    match (text("id").map(str::parse), text("secret")) {
        (Some(Ok(id)), Some(secret)) => Ok((id, secret.to_owned())),
        _ => Err(Failure::server("the service made no key")),
    }
}

/// A listener at `port` of this host, or at a free port if that one is taken.
fn listen(port: u16) -> Result<TcpListener, Failure> {
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    at(port).or_else(|_| at(0)).map_err(cannot_start)
}

/// `port` of this host if nobody listens there, or port 0, which takes a free one. Asked without
/// `SO_REUSEPORT`, so that a second demo does not share the first one's port.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn cannot_start(error: impl std::fmt::Display) -> Failure {
    Failure::server(format_args!("the demo cannot start: {error}"))
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};
    use http_body_util::Full;

    use super::*;

    #[test]
    fn its_settings_are_valid_whatever_the_folder_is_called() {
        let folder = Path::new("/tmp/a \"b\" \\c: #d");
        let text = settings_text(folder, &["inventory".to_owned()], "http://127.0.0.1:1");
        let settings = Settings::from_text(Path::new("portcullis.yaml"), &text).unwrap();
        assert_eq!(settings.policies, folder);
        assert_eq!(settings.listeners.len(), 1);
    }

    #[test]
    fn its_policy_compiles() {
        let file = policy::compile::SourceFile {
            path: Path::new("inventory.yaml").into(),
            text: POLICY.to_owned(),
        };
        let anything = policy::compile::Context {
            upstreams: None,
            own_endpoints: Vec::new(),
            files_only: false,
        };
        let policy = policy::compile::compile(&[file], &anything).unwrap();
        assert_eq!(policy.findings.count(crate::words::Level::Warning), 0);
    }

    #[test]
    fn the_inventory_answers_and_repeats_the_identity_headers() {
        let inventory = Inventory::start(listen(0).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ask = |method: &str, path: &str, body: &'static str| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "inventory")
                .header("content-type", "application/json")
                .header("x-portcullis-account", "ci")
                .body(Full::from(body))
                .unwrap();
            runtime
                .block_on(call::call(inventory.address(), request))
                .unwrap()
        };
        let list = ask("GET", "/v1/tenants/acme/devices", "");
        assert_eq!(
            list.body.pointer("/devices/1/role"),
            Some(&json!("edge-router"))
        );
        assert_eq!(list.body.get("caller"), Some(&json!({ "account": "ci" })));

        let device = "/v1/tenants/acme/devices/9";
        for (method, path, body, status) in [
            ("GET", "/api/about", "", 200),
            ("GET", "/v1/tenants", "", 200),
            ("GET", device, "", 404),
            ("PUT", device, r#"{"role": "printer"}"#, 200),
            ("GET", device, "", 200),
            ("GET", "/v1/tenants/acme/devices/9/interfaces", "", 200),
            ("DELETE", device, "", 200),
            ("DELETE", device, "", 404),
            ("GET", "/elsewhere", "", 404),
        ] {
            let expected = StatusCode::from_u16(status).unwrap();
            assert_eq!(ask(method, path, body).status, expected, "{method} {path}");
        }
    }

    #[test]
    fn a_busy_port_is_left_to_whoever_has_it() {
        let taken = listen(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free(port).port(), 0);
        assert_ne!(listen(port).unwrap().local_addr().unwrap().port(), port);
    }
}
