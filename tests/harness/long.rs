//! What takes minutes: run by `tests/run --long` alone, at full size, and noted with its day.
//!
//! Every run in between does the same at a smaller size, so that nothing rots until the next long one.

use std::path::Path;
use std::sync::Mutex;

/// Whether this is the long run.
pub(crate) fn is_long() -> bool {
    is_set("PORTCULLIS_LONG")
}

/// Whether this is the long run of the build that is shipped, with nothing beside it: figures are
/// what they are there, and not what another test left.
pub(crate) fn is_strict() -> bool {
    is_long() && is_set("PORTCULLIS_TEST_BINARY")
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// `long` in the long run, `short` in all others.
pub(crate) fn sized<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Notes that `row` was run at full size today, and what came of it. Does nothing in other runs.
pub(crate) fn passed(row: &str, said: &str) {
    static NOTES: Mutex<()> = Mutex::new(());
    if !is_long() {
        return;
    }
    let _alone = NOTES.lock().expect("no other writer panics");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/long-runs.yaml");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let text = noted(&text, row, &today(), said);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Says that something was left out.
pub(crate) fn skipped(what: &str) {
    told(&format!("skipped: {what}"));
}

/// Says `what`, past whatever keeps the words of tests that pass.
pub(crate) fn told(what: &str) {
    use std::io::Write as _;
    let line = format!("\n{what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[expect(clippy::disallowed_methods, reason = "the day of the run, for people")]
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    now.chars().take("2026-11-22".len()).collect()
}

/// `text` with what is known of `row` in its place; comments stay above.
fn noted(text: &str, row: &str, day: &str, said: &str) -> String {
    let (comments, mut rows): (Vec<_>, Vec<_>) = text
        .lines()
        .filter(|line| !matches!(*line, "" | "{}"))
        .map(str::to_owned)
        .partition(|line| line.starts_with('#'));
    rows.retain(|line| line.split(':').next() != Some(row));
    let said = said.replace('\'', "''");
    rows.push(format!("{row}: '{day}: {said}'"));
    rows.sort();
    [comments, rows].concat().join("\n") + "\n"
}

#[test]
fn a_row_has_one_day() {
    let day = "2026-11-22";
    let first = noted("# Why.\n{}\n", "F04", day, "it's fine");
    assert_eq!(first, "# Why.\nF04: '2026-11-22: it''s fine'\n");
    let both = noted(&first, "B66", day, "before");
    assert_eq!(
        noted(&both, "F04", "2026-11-23", "again"),
        "# Why.\nB66: '2026-11-22: before'\nF04: '2026-11-23: again'\n"
    );
}
