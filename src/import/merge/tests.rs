//! What a person edited stays, what the description says anew comes in.

use super::*;

const BASE: &str = "\
upstream: api

permissions:
  a:edit: Change a
  a:view: See a
  b:view: See b

roles:
  viewer:
    description: Reads
    permissions:
      - a:view
      - b:view

routes:
  GET /a: a:view  # listA
  POST /a: a:edit  # addA
  GET /b: b:view  # listB
  GET /c: a:view
";

fn merged(ours: &str, theirs: &str) -> (String, String) {
    let file: Arc<Path> = Arc::from(Path::new("api.yaml"));
    let merge = merge(Some((&file, BASE)), (&file, ours), theirs).unwrap();
    let changes: Vec<_> = merge.changes.iter().map(ToString::to_string).collect();
    (merge.text, changes.join("\n"))
}

#[test]
fn nothing_new_changes_nothing() {
    assert_eq!(merged(BASE, BASE), (BASE.to_owned(), String::new()));
    let edited = BASE.replace("GET /b: b:view  # listB", "  # mine\n  GET /b: public");
    assert_eq!(merged(&edited, BASE), (edited, String::new()));
}

#[test]
fn without_edits_the_new_import_comes_out() {
    let theirs = BASE
        .replace("  GET /b: b:view  # listB\n", "")
        .replace("      - b:view\n", "")
        .replace("  b:view: See b\n", "  d:view: See d\n")
        .replace("POST /a: a:edit", "PUT /a/{x}: a:edit")
        .replace(
            "GET /c: a:view\n",
            "GET /c: a:edit\n  GET /d: d:view  # d\n",
        );
    let (text, changes) = merged(BASE, &theirs);
    assert_eq!(text, theirs);
    insta::assert_snapshot!(changes, @r"
        added   route `GET /d` (d): d:view
        removed route `GET /b` (listB): b:view
        moved   route `POST /a` (addA): now `PUT /a/{x}`
        changed route `GET /c`: a:view is now a:edit
        changed role `viewer`: -b:view
        added   permission `d:view`: See d
        removed permission `b:view`: See b
        ");
}

#[test]
fn what_a_person_edited_stays() {
    let ours =
        BASE.replace(
            "POST /a: a:edit  # addA",
            "POST /a: { needs: a:admin, timeout: 5m }  # careful",
        )
        .replace(
            "  a:edit: Change a\n",
            "  a:admin: Everything about a   # ours\n",
        )
        .replace("  GET /b: b:view  # listB\n", "  # nobody asks for b\n\n")
        .replace(
            "  GET /c: a:view\n",
            "  GET /c: public\n  GET /mine: a:admin\n",
        ) + "\ntests:\n  - { request: GET /c, expect: allow }\n";
    let theirs = BASE
        .replace("POST /a: a:edit", "PUT /a: a:edit")
        .replace("GET /b: b:view", "GET /b: a:view")
        .replace(
            "GET /c: a:view\n",
            "GET /c: b:view\n  DELETE /d: a:edit  # d\n",
        );
    let (text, changes) = merged(&ours, &theirs);
    insta::assert_snapshot!(text, @r"
        upstream: api

        permissions:
          a:edit: Change a
          a:admin: Everything about a   # ours
          a:view: See a
          b:view: See b

        roles:
          viewer:
            description: Reads
            permissions:
              - a:view
              - b:view

        routes:
          GET /a: a:view  # listA
          PUT /a: { needs: a:admin, timeout: 5m }  # careful
          # nobody asks for b

          GET /c: public
          DELETE /d: a:edit  # d
          GET /mine: a:admin

        tests:
          - { request: GET /c, expect: allow }
        ");
    insta::assert_snapshot!(changes, @r"
        added   route `DELETE /d` (d): a:edit
        moved   route `POST /a` (addA): now `PUT /a`
        kept    route `GET /c`: yours says public, the document b:view
        added   permission `a:edit`: Change a
        ");
}

#[test]
fn without_a_base_nothing_that_is_there_changes() {
    let file: Arc<Path> = Arc::from(Path::new("api.yaml"));
    let theirs = BASE.replace("GET /b: b:view", "GET /b: a:view") + "  GET /d: a:view\n";
    let merge = merge(None, (&file, BASE), &theirs).unwrap();
    assert_eq!(merge.text, format!("{BASE}  GET /d: a:view\n"));
    let kinds: Vec<_> = merge.changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [Kind::Added, Kind::Kept]);
}

#[test]
fn a_section_in_one_line_is_refused() {
    let file: Arc<Path> = Arc::from(Path::new("api.yaml"));
    let ours = "routes: { GET /a: a:view, GET /b: b:view }\n";
    let fault = merge(None, (&file, ours), BASE).unwrap_err().to_string();
    assert!(
        fault.starts_with("api.yaml:1:11: `routes` has two entries in one line"),
        "{fault}"
    );
    let empty = merge(None, (&file, ""), BASE).unwrap();
    assert!(
        empty
            .text
            .contains("\nroutes:\n  GET /a: a:view  # listA\n"),
        "{}",
        empty.text
    );
}
