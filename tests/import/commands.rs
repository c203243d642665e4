//! What the commands write, and what they leave alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const PETS: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "Pets", "version": "1" },
  "paths": {
    "/pets": { "get": { "tags": ["pets"], "operationId": "listPets" } },
    "/pets/{pet}": { "delete": { "tags": ["pets"], "operationId": "removePet" } },
    "/login": { "post": { "tags": ["login"], "security": [], "operationId": "logIn" } }
  }
}"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("api.json", PETS);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("PORTCULLIS_CONFIG")
            .output()
            .unwrap()
    }

    /// Standard output and error of a command that ends with `code`.
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        let output = self.run(line);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{line}: {out}{told}");
        (out, told)
    }
}

#[test]
fn the_policy_goes_to_stdout_and_the_talk_to_stderr() {
    let folder = Folder::new();
    let (out, told) = folder.ends("routes import api.json --upstream pets", 0);
    assert!(
        out.starts_with("# Imported from api.json (Pets).\n"),
        "{out}"
    );
    assert!(out.contains("\nupstream: pets\n"), "{out}");
    assert!(
        told.starts_with("3 operations: 3 routes, 2 permissions, 3 roles\n"),
        "{told}"
    );
    assert!(told.contains("\n1 route to review"), "{told}");
    assert!(
        !told.contains('\u{1b}') && !told.contains('\r'),
        "no bar where nobody looks: {told}"
    );
    let (_, told) = folder.ends("-q routes import api.json", 0);
    assert_eq!(told, "");
}

/// The next command that is named is one that will be taken.
#[test]
fn a_beginning_with_something_to_review_says_so_first() {
    let folder = Folder::new();
    let (_, told) = folder.ends("init new --openapi api.json", 0);
    let next = told.lines().last().unwrap();
    assert!(next.starts_with("next: say in policies/api.yaml"), "{next}");
    folder.ends("check new", 1);
    let policy = folder.0.path().join("new/policies/api.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("review_public", "public")).unwrap();
    folder.ends("check new", 0);
}

#[test]
fn what_is_open_in_the_document_is_closed_until_a_person_has_decided() {
    let folder = Folder::new();
    folder.ends("routes import api.json --write policies/api.yaml", 0);
    let (_, told) = folder.ends("check policies", 1);
    assert!(told.contains("a person must decide"), "{told}");
    let text = folder.read("policies/api.yaml");
    folder.write(
        "policies/api.yaml",
        &text.replace("{ needs: review_public }", "public"),
    );
    folder.ends("check policies", 0);
}

#[test]
fn a_file_that_is_there_is_not_replaced_unasked() {
    let folder = Folder::new();
    folder.write("api.yaml", "mine");
    let (_, told) = folder.ends("routes import api.json --write api.yaml", 6);
    assert!(told.contains("`api.yaml` is there already"), "{told}");
    assert_eq!(folder.read("api.yaml"), "mine");
    let (out, _) = folder.ends("routes import api.json --write api.yaml --force -o json", 0);
    let counted: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&counted["operations"], &counted["to_review"]),
        (&3.into(), &1.into())
    );
    let imported = folder.read("api.yaml.imported");
    let (options, imported) = imported.split_once('\n').unwrap();
    assert!(options.starts_with("# Options: ["), "{options}");
    assert_eq!(folder.read("api.yaml"), imported);
    let hidden = fs::read_dir(folder.0.path()).unwrap();
    let hidden = hidden.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0, "nothing half-written stays");
}

#[test]
fn a_newer_description_comes_in_and_edits_stay() {
    let folder = Folder::new();
    folder.ends("routes import api.json --write policies/api.yaml", 0);
    let merge = "routes import api.json --merge policies/api.yaml";
    let (_, told) = folder.ends(&format!("{merge} --check"), 0);
    assert_eq!(told, "nothing new\n");
    let text = folder.read("policies/api.yaml");
    let mine = text.replace(
        "DELETE /pets/{pet}: pets:edit",
        "# careful\n  DELETE /pets/{pet}: pets:view",
    );
    folder.write(
        "policies/api.yaml",
        &mine.replace("{ needs: review_public }", "public"),
    );
    let newer = PETS
        .replace("/pets/{pet}", "/v2/pets/{pet}")
        .replace("\"post\"", "\"put\"")
        .replace(
            "\"/pets\"",
            "\"/cats\": { \"get\": { \"tags\": [\"cats\"] } }, \"/pets\"",
        );
    folder.write("api.json", &newer);
    let before = folder.read("policies/api.yaml");
    let (changes, _) = folder.ends(&format!("{merge} --check"), 1);
    assert_eq!(folder.read("policies/api.yaml"), before);
    let (said, _) = folder.ends(merge, 0);
    assert_eq!(said, changes);
    insta::assert_snapshot!(changes, @r"
    added   route `GET /cats`: cats:view
    moved   route `DELETE /pets/{pet}` (removePet): now `DELETE /v2/pets/{pet}`
    moved   route `POST /login` (logIn): now `PUT /login`
    added   role `cats`: { description: Everything the API files under cats, permissions: [cats:view] }
    changed role `viewer`: +cats:view
    added   permission `cats:view`: See cats
    ");
    let text = folder.read("policies/api.yaml");
    let (_, routes) = text.split_once("\nroutes:\n").unwrap();
    insta::assert_snapshot!(routes, @r"
      GET /cats: cats:view
      GET /pets: pets:view  # listPets
      # careful
      DELETE /v2/pets/{pet}: pets:view  # removePet
      PUT /login: public  # logIn
    ");
    folder.ends("check policies", 0);
    folder.ends(&format!("{merge} --check"), 0);
}

#[test]
fn a_broken_description_says_where_and_writes_nothing() {
    let folder = Folder::new();
    folder.write(
        "api.json",
        "{\n  \"openapi\": \"3.1.0\",\n  \"paths\": {,}\n}",
    );
    let (_, told) = folder.ends("routes import api.json --write api.yaml", 1);
    assert!(
        told.starts_with("error: api.json:3:13: this is not JSON"),
        "{told}"
    );
    assert!(!folder.0.path().join("api.yaml").exists());
    folder.write(
        "api.json",
        "{\"openapi\": \"3.1.0\", \"paths\": {\"/a\": {\"get\": 7}}}",
    );
    let (_, told) = folder.ends("routes import api.json", 1);
    assert!(
        told.contains("there is no operation to import\napi.json:1:39: GET `/a`"),
        "{told}"
    );
    folder.ends("routes import nowhere.json", 1);
    folder.ends("routes import", 2);
    folder.ends("routes import api.json --check", 2);
}

#[test]
fn a_first_setup_is_made_from_a_description_and_enforces_nothing() {
    let folder = Folder::new();
    folder.write("api.json", &PETS.replace("\"security\": [], ", ""));
    let (_, told) = folder.ends("init --openapi api.json --upstream https://api.internal", 0);
    assert!(told.contains("wrote `policies/api.yaml`"), "{told}");
    assert!(told.contains("nothing is enforced yet"), "{told}");
    let settings = folder.read("portcullis.yaml");
    assert!(
        settings.contains("\n    url: \"https://api.internal\""),
        "{settings}"
    );
    assert!(
        settings.contains("\nshadow: true\ndefault_upstream: api"),
        "{settings}"
    );
    folder.ends("check", 0);
    folder.ends("init --openapi api.json", 6);
    assert!(Path::new(&folder.0.path().join("policies/api.yaml.imported")).exists());
}

/// Whoever merges a year later does not know how it was imported.
#[test]
fn a_merge_takes_the_options_of_the_import_before() {
    let folder = Folder::new();
    let pets = PETS.replace("/pets/{pet}", "/orgs/{org_id}/pets/{pet}");
    folder.write("api.json", &pets);
    let how = "--permission-from path --within tenant=org_id --read-methods GET";
    folder.ends(&format!("routes import api.json --write p.yaml {how}"), 0);
    let first = folder.read("p.yaml");
    assert!(first.contains("tenant: path.org_id"), "{first}");
    let (out, told) = folder.ends("routes import api.json --merge p.yaml --check", 0);
    let said =
        "as at the last import: --permission-from=path --read-methods=GET --within=tenant=org_id\n";
    assert_eq!(
        (out.as_str(), told.as_str()),
        ("", &*format!("{said}nothing new\n"))
    );
    // What is said again as it was is no difference, nor is the order.
    let (_, told) = folder.ends(
        &format!("routes import api.json --merge p.yaml --check {how}"),
        0,
    );
    assert_eq!(told, "nothing new\n");
    // What differs is done, and said, and kept for the next time.
    let (_, told) = folder.ends(
        "routes import api.json --merge p.yaml --permission-from tag",
        0,
    );
    let warning = "warning: `--permission-from` is `tag` now and was `path` at the last import: ";
    assert!(told.contains(warning), "{told}");
    assert!(
        told.contains("as at the last import: --read-methods=GET --within=tenant=org_id\n"),
        "{told}"
    );
    let (_, told) = folder.ends("routes import api.json --merge p.yaml --check", 0);
    assert!(
        !told.contains("permission-from") && told.contains("--within=tenant=org_id"),
        "{told}"
    );
    // So is what was not said before.
    let (_, told) = folder.ends(
        "routes import api.json --merge p.yaml --check --multi-segment pet",
        1,
    );
    assert!(
        told.contains("`--multi-segment` is `pet` now and was nothing"),
        "{told}"
    );
}

#[test]
fn what_is_kept_of_options_may_be_missing_and_may_not_be_nonsense() {
    let folder = Folder::new();
    folder.ends(
        "routes import api.json --write p.yaml --permission-from path",
        0,
    );
    let imported = folder.read("p.yaml.imported");
    let (_, rest) = imported.split_once('\n').unwrap();
    folder.write("p.yaml.imported", rest);
    let (_, told) = folder.ends(
        "routes import api.json --merge p.yaml --check --permission-from path",
        0,
    );
    assert!(
        told.contains("does not say by which options it was imported"),
        "{told}"
    );
    for line in [
        "nonsense",
        "[1]",
        r#"["--permission-from=colour"]"#,
        r#"["file.json"]"#,
    ] {
        folder.write("p.yaml.imported", &format!("# Options: {line}\n{rest}"));
        let (_, told) = folder.ends("routes import api.json --merge p.yaml --check", 1);
        assert!(
            told.contains("p.yaml.imported:1: the options of the last import cannot be read ("),
            "{told}"
        );
    }
}

/// A beginning is an import, and is merged like one.
#[test]
fn what_init_imported_is_merged_by_its_options() {
    let folder = Folder::new();
    folder.ends("init new --openapi api.json --permission-from path", 0);
    let (out, told) = folder.ends(
        "routes import api.json --merge new/policies/api.yaml --check",
        0,
    );
    assert_eq!(out, "");
    assert_eq!(
        told,
        "as at the last import: --permission-from=path\nnothing new\n"
    );
}
