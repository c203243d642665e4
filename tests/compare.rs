//! The comparison with other gateways, in a rehearsal: whether it still runs, so that it does when
//! somebody wants figures. What it says here is no figure: a debug build beside all other tests.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn the_comparison_with_others_runs_and_draws() {
    let folder = TempDir::new().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (figures, picture) = (place("figures.json"), place("picture.svg"));
    // Behind the other tests: it would take both cores.
    let output = Command::new("nice")
        .args(["-n", "5", "benches/compare/run", "--quick"])
        .args(["--connections", "4", "--peers", "haproxy,haproxy-jwt"])
        .args(["--binary", env!("CARGO_BIN_EXE_portcullis")])
        .args(["--json", &figures, "--chart", &picture])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("there is `nice`");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", said.join("\n"));

    let read = |path: &str| std::fs::read_to_string(path).expect("it was written");
    let figures: Value = serde_json::from_str(&read(&figures)).expect("JSON");
    let mut seen = Vec::new();
    for result in figures["results"].as_array().expect("a list") {
        let work = result["work"].as_str().expect("a name");
        let rows = result["rows"].as_array().expect("a list");
        for row in rows.iter().filter(|row| row["gateway"] != "direct") {
            assert!(
                row["per_second"].as_f64().is_some_and(|rate| rate > 0.0),
                "{row}"
            );
            seen.push(format!("{work} {}", row["gateway"].as_str().unwrap()));
        }
    }
    for work in ["authorized", "http2", "refused-unknown-key", "small-body"] {
        for gateway in ["portcullis", "haproxy", "haproxy-jwt"] {
            let row = format!("{work} {gateway}");
            assert!(seen.contains(&row), "no {row} in {seen:?}");
        }
    }
    is_xml(Path::new(&picture));
    for word in ["<svg ", "portcullis", "haproxy-jwt"] {
        assert!(read(&picture).contains(word), "no {word} in the picture");
    }
}

/// Reads a file with somebody else's parser.
fn is_xml(path: &Path) {
    let script = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .output();
    let output = output.expect("there is Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
