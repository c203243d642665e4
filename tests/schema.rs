//! What editors are given: the schemas committed are those the binary prints, and every file of ours keeps
//! them. Whether readers and schemas agree on other files is a test beside `src/schema.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis::schema::Kind;
use serde_json::Value;

fn portcullis(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn committed(kind: Kind) -> PathBuf {
    Path::new("schemas").join(kind.file_name())
}

#[test]
fn the_schemas_committed_are_those_of_the_readers() {
    for kind in Kind::ALL {
        let (file, text) = (committed(kind), kind.text());
        if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
            fs::create_dir_all("schemas").unwrap();
            fs::write(&file, &text).unwrap();
        }
        let old = fs::read_to_string(&file).unwrap_or_default() != text;
        assert!(
            !old,
            "`{}` is old: run this test with `PORTCULLIS_UPDATE=1`",
            file.display()
        );
    }
}

#[test]
fn the_binary_prints_and_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, kind) in [
        (&["schema"][..], Kind::Settings),
        (&["schema", "settings"], Kind::Settings),
        (&["schema", "policy"], Kind::Policy),
    ] {
        let printed = portcullis(arguments, folder.path());
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), kind.text());
    }
    let written = portcullis(&["schema", "--dir", "a/b"], folder.path());
    assert!(written.status.success(), "{written:?}");
    for kind in Kind::ALL {
        let text = fs::read_to_string(folder.path().join("a/b").join(kind.file_name()));
        assert_eq!(text.unwrap(), kind.text());
    }
    assert_eq!(
        portcullis(&["schema", "routes"], folder.path())
            .status
            .code(),
        Some(2)
    );
}

/// Every file of the settings or the policy kind in this repository.
fn ours() -> Vec<(Kind, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let parents = path.parent().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if name == "portcullis.yaml" {
                found.push((Kind::Settings, path));
            } else if name.ends_with(".yaml")
                && (parents.contains("/policies") || parents.ends_with("cli/init"))
            {
                found.push((Kind::Policy, path));
            }
        }
    }
    found
}

#[test]
fn every_file_of_ours_keeps_its_schema() {
    let validators = Kind::ALL.map(|kind| jsonschema::draft7::new(&kind.schema()).unwrap());
    let files = ours();
    let kinds = Kind::ALL.map(|kind| files.iter().filter(|(one, _)| *one == kind).count());
    assert!(kinds[0] >= 4 && kinds[1] >= 8, "{kinds:?}");
    for (kind, path) in files {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("\"UPSTREAM\"", "unix:/run/app.sock"); // `init` fills it in
        // YAML 1.2, in which `off` is a word; editors read that one too.
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        let validator = &validators[usize::from(kind == Kind::Policy)];
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// What `init` writes names a schema that is there, so an editor needs no network.
#[test]
fn the_first_files_name_a_schema_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    assert!(portcullis(&["init"], folder.path()).status.success());
    for (file, kind) in [
        ("portcullis.yaml", Kind::Settings),
        ("policies/api.yaml", Kind::Policy),
    ] {
        let file = folder.path().join(file);
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = text.lines();
        let named = lines
            .next()
            .unwrap()
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap();
        assert_eq!(
            lines.next().unwrap().strip_prefix("# $schema: "),
            Some(named),
            "JetBrains' way"
        );
        let schema = fs::read_to_string(file.parent().unwrap().join(named)).unwrap();
        assert_eq!(schema, kind.text());
    }
}
