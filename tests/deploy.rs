//! What operators apply: `deploy/`, held against the schemas of Kubernetes, its "restricted" rules, the
//! policy compiler, and Prometheus' own reader of rules.
//!
//! Rendered by `kubectl kustomize` where that is installed; the manifests of the bases are complete
//! without it, so only the composition is left unproved where it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::tool;

/// The oldest Kubernetes the manifests are for, one that is about to go, and the newest known.
const KUBERNETES: [&str; 3] = ["1.29", "1.33", "1.37"];

const BASES: [&str; 2] = ["sidecar", "gateway"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], folder: &Path) -> Output {
    let program = program.as_ref();
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "`{}` does not run ({error}): `tests/run` installs it",
                program.display()
            )
        })
}

fn expect_success(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Debian has no kubectl; where there is none, `tests/run` says so.
fn has_kubectl() -> bool {
    let found = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// Every manifest of a base, with what is composed around it if that can be had.
fn manifests(base: &str) -> String {
    let kustomize = deploy().join("kustomize");
    if has_kubectl() {
        let output = run(
            "kubectl",
            &["kustomize", &format!("examples/{base}")],
            &kustomize,
        );
        expect_success(&output, base);
        return String::from_utf8(output.stdout).unwrap();
    }
    let mut paths: Vec<_> = fs::read_dir(kustomize.join("base").join(base))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name != "kustomization.yaml")
        })
        .collect();
    paths.sort();
    let texts: Vec<_> = paths.iter().map(|path| read(path)).collect();
    texts.join("\n---\n")
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn kubernetes_knows_every_field() {
    let folder = tempfile::tempdir().unwrap();
    for base in BASES {
        let file = folder.path().join(format!("{base}.yaml"));
        fs::write(&file, manifests(base)).unwrap();
        let file = file.to_str().unwrap();
        for version in KUBERNETES {
            let arguments = ["--strict", "--no-warn", "-k", version, file];
            let output = run(
                tool("venv/bin/kubernetes-validate"),
                &arguments,
                folder.path(),
            );
            expect_success(&output, &format!("{base} for Kubernetes {version}"));
        }
    }
}

#[test]
fn the_settings_and_policies_that_are_shipped_are_valid() {
    for base in BASES {
        let folder = deploy().join("kustomize/base").join(base);
        // The folders of a container are not here.
        let arguments = [
            "check",
            "--skip-files",
            "--config",
            "settings/portcullis.yaml",
        ];
        let output = run(env!("CARGO_BIN_EXE_portcullis"), &arguments, &folder);
        expect_success(&output, base);
    }
}

#[test]
fn every_file_of_a_config_map_is_in_its_base() {
    for base in BASES {
        let folder = deploy().join("kustomize/base").join(base);
        let kustomization = read(&folder.join("kustomization.yaml"));
        for part in ["settings", "policies"] {
            for entry in fs::read_dir(folder.join(part)).unwrap() {
                let name = format!("{part}/{}", entry.unwrap().file_name().display());
                assert!(
                    kustomization.contains(&name),
                    "{base}/kustomization.yaml forgets {name}"
                );
            }
        }
    }
}

/// The pods of all manifests, with the name of what makes them.
fn pods(base: &str) -> Vec<(String, Value)> {
    let pod = |document: Value| {
        let spec = document.pointer("/spec/template/spec")?.clone();
        let name = format!("{} {}", document["kind"], document["metadata"]["name"]);
        Some((name, spec))
    };
    let pods: Vec<_> = documents(&manifests(base))
        .into_iter()
        .filter_map(pod)
        .collect();
    assert!(!pods.is_empty(), "{base} makes no pod");
    pods
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(|kind| pod[kind].as_array())
        .flatten()
}

/// Volumes that "restricted" allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What "restricted", the strictest level of Kubernetes' Pod Security Standards, does not allow.
fn unrestricted(pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[key] == true {
            faults.push(format!("{key} is on"));
        }
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let keys = volume
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys());
        let unknown = keys.filter(|key| *key != "name" && !VOLUMES.contains(&key.as_str()));
        faults.extend(unknown.map(|kind| format!("volume {} is a {kind}", volume["name"])));
    }
    for container in containers(pod) {
        let said = unrestricted_container(container, &pod["securityContext"]);
        faults.extend(said.map(|fault| format!("{} {fault}", container["name"])));
    }
    faults
}

/// The same for one container; a root it may write to is a fault too.
fn unrestricted_container(container: &Value, of_pod: &Value) -> impl Iterator<Item = &'static str> {
    let own = &container["securityContext"];
    let either = |key: &str| {
        if own[key].is_null() {
            &of_pod[key]
        } else {
            &own[key]
        }
    };
    let capabilities = &own["capabilities"];
    let drops = capabilities["drop"].as_array();
    let mut ports = container["ports"].as_array().into_iter().flatten();
    [
        (own["privileged"] == true, "is privileged"),
        (
            own["allowPrivilegeEscalation"] != false,
            "may gain privileges",
        ),
        (
            !drops.is_some_and(|all| all.iter().any(|one| one == "ALL")),
            "does not drop ALL",
        ),
        (!capabilities["add"].is_null(), "adds capabilities"),
        (*either("runAsNonRoot") != true, "may run as root"),
        (*either("runAsUser") == 0, "runs as root"),
        (
            either("seccompProfile")["type"] != "RuntimeDefault",
            "has no seccomp profile",
        ),
        (
            own["readOnlyRootFilesystem"] != true,
            "may write to its root",
        ),
        (
            ports.any(|port| !port["hostPort"].is_null()),
            "takes a port of the host",
        ),
    ]
    .into_iter()
    .filter_map(|(fault, what)| fault.then_some(what))
}

#[test]
fn every_pod_is_restricted() {
    for base in BASES {
        for (name, pod) in pods(base) {
            assert_eq!(unrestricted(&pod), Vec::<String>::new(), "{name}");
            assert_eq!(
                pod["automountServiceAccountToken"],
                Value::Bool(false),
                "{name}"
            );
        }
    }
}

#[test]
fn a_pod_that_is_not_restricted_is_noticed() {
    let (_, good) = pods("sidecar").remove(0);
    let context = "/containers/0/securityContext";
    let host_path = serde_json::json!({"name": "settings", "hostPath": {"path": "/"}});
    for (pointer, value) in [
        ("/securityContext", Value::Null),
        ("/volumes/0", host_path),
        (
            &format!("{context}/allowPrivilegeEscalation"),
            Value::from(true),
        ),
        (
            &format!("{context}/capabilities/drop"),
            Value::from(vec!["KILL"]),
        ),
        (&format!("{context}/runAsNonRoot"), Value::from(false)),
        (
            &format!("{context}/readOnlyRootFilesystem"),
            Value::from(false),
        ),
        (
            "/initContainers/0/securityContext/seccompProfile/type",
            Value::from("Unconfined"),
        ),
    ] {
        let mut pod = good.clone();
        *pod.pointer_mut(pointer).expect(pointer) = value;
        // Without the pod's own context the containers still say enough by themselves.
        let expected = usize::from(pointer != "/securityContext");
        assert_eq!(
            unrestricted(&pod).len(),
            expected,
            "{pointer}: {:?}",
            unrestricted(&pod)
        );
    }
}

/// What Kubernetes' schemas let pass and then does not work, or opens what should be closed.
#[test]
fn mounts_ports_and_probes_are_as_the_gateway_needs_them() {
    for base in BASES {
        for (name, pod) in pods(base) {
            let mut control = Vec::new();
            for container in containers(&pod) {
                hold_ports(&name, container);
                let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
                if mounts.clone().any(|mount| mount["name"] == "control") {
                    control.push(&container["name"]);
                }
                let plain = mounts.all(|mount| mount["subPath"].is_null());
                assert!(plain, "{name}: a subPath never sees a change");
            }
            assert_eq!(
                control,
                ["portcullis"],
                "{name}: who mounts it is an administrator"
            );
        }
    }
}

fn hold_ports(name: &str, container: &Value) {
    let ports = container["ports"].as_array().into_iter().flatten();
    let ports: Vec<_> = ports.filter_map(|port| port["name"].as_str()).collect();
    for port in &ports {
        assert!(
            port.len() <= 15,
            "{name}: `{port}` is longer than 15 characters"
        );
    }
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"];
    let asked = probes
        .iter()
        .filter_map(|probe| container[probe]["httpGet"]["port"].as_str());
    for port in asked {
        // A name is looked up among the ports of the probed container only.
        assert!(ports.contains(&port), "{name}: a probe asks at `{port}`");
    }
}

#[test]
fn in_a_pod_ops_is_reached_from_outside_and_admin_from_nowhere() {
    for base in BASES {
        let file = deploy()
            .join("kustomize/base")
            .join(base)
            .join("settings/portcullis.yaml");
        let settings: Value = serde_saphyr::from_str(&read(&file)).unwrap();
        assert_eq!(settings["ops"]["address"], "0.0.0.0:7090", "{base}");
        // To a YAML 1.1 reader `off` is false; either means that there is none.
        assert!(
            settings["admin"] == "off" || settings["admin"] == Value::Bool(false),
            "{base}"
        );
        assert_eq!(
            settings["control"], "/run/portcullis/control.sock",
            "{base}"
        );
    }
}

#[test]
fn prometheus_reads_the_rules_and_they_fire_when_they_should() {
    let folder = deploy().join("prometheus");
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ] {
        expect_success(&run("promtool", &arguments, &folder), &arguments.join(" "));
    }
}

#[test]
fn the_operators_rules_are_the_same_and_each_alert_has_a_runbook() {
    let plain: Value =
        serde_saphyr::from_str(&read(&deploy().join("prometheus/rules.yaml"))).unwrap();
    let operator = deploy().join("kustomize/components/podmonitor/prometheusrule.yaml");
    let operator: Value = serde_saphyr::from_str(&read(&operator)).unwrap();
    assert_eq!(operator["spec"]["groups"], plain["groups"]);

    let runbook = read(&deploy().join("prometheus/RUNBOOK.md"));
    let groups = plain["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: Vec<_> = rules
        .filter_map(|rule| Some((rule["alert"].as_str()?, rule)))
        .collect();
    assert!(alerts.len() > 5);
    for (alert, rule) in alerts {
        assert!(
            runbook.contains(&format!("\n## {alert}\n")),
            "RUNBOOK.md does not say {alert}"
        );
        let anchor = format!("RUNBOOK.md#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], anchor);
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].is_string(),
                "{alert} has no {text}"
            );
        }
    }
}

/// The names in rules are the names we export: those of the only file that has them.
#[test]
fn every_metric_in_a_rule_is_one_we_export() {
    let exported = include_str!("../src/telemetry/metrics.rs").to_owned()
        + include_str!("../src/telemetry/metrics/watched.rs")
        + include_str!("../src/telemetry/inventory.rs")
        + include_str!("../src/telemetry/routes.rs");
    let rules: Value =
        serde_saphyr::from_str(&read(&deploy().join("prometheus/rules.yaml"))).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        let words = expression.split(|c| !is_part(c));
        for metric in words.filter(|word| word.starts_with("portcullis_")) {
            assert!(
                exported.contains(&format!("\"{metric}\"")),
                "nobody exports {metric}"
            );
        }
    }
}
