//! What `check` found as SARIF 2.1.0, which code hosts and editors draw beside the lines it is about.
//!
//! File names are relative to the folder the command runs in, which a pipeline's checkout is; what
//! lies elsewhere is named in full.

use std::path::{Component, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::report::{Line, Report, Spot};
use crate::words::{Level, Rule};

/// What stands as itself in the path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The whole report; `folder` is where the command runs.
pub(super) fn log(report: &Report, folder: &Path) -> Value {
    let results = report.lines().map(|line| result(line, folder));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.iter().map(|rule| described(*rule)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn described(rule: Rule) -> Value {
    json!({
        "id": rule.code(),
        "shortDescription": { "text": rule.sentence() },
        "defaultConfiguration": { "level": word(rule.level()) },
    })
}

/// SARIF's word for a level: the same as ours.
fn word(level: Level) -> &'static str {
    level.as_str()
}

fn result(line: &Line, folder: &Path) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == line.rule);
    let mut result = json!({
        "ruleId": line.rule.code(),
        "ruleIndex": index,
        "level": word(line.level),
        "message": { "text": line.message },
        "locations": [{ "physicalLocation": physical(&line.spot, folder) }],
    });
    if !line.related.is_empty() {
        let related = line.related.iter().enumerate();
        let related: Vec<_> = related
            .map(|(number, aside)| {
                json!({
                    "id": number,
                    "physicalLocation": physical(&aside.spot, folder),
                    "message": { "text": aside.message },
                })
            })
            .collect();
        if let Some(fields) = result.as_object_mut() {
            fields.insert("relatedLocations".to_owned(), Value::from(related));
        }
    }
    result
}

fn physical(spot: &Spot, folder: &Path) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(Path::new(&spot.file), folder) } });
    // Without a region the whole file is meant.
    if let Some(fields) = physical.as_object_mut().filter(|_| spot.line > 0) {
        let mut region = json!({ "startLine": spot.line });
        if let Some(region) = region.as_object_mut().filter(|_| spot.column > 0) {
            region.insert("startColumn".to_owned(), Value::from(spot.column));
        }
        fields.insert("region".to_owned(), region);
    }
    physical
}

/// `file` as a URI: relative to `folder` if it lies there.
fn uri(file: &Path, folder: &Path) -> String {
    let relative = file.strip_prefix(folder).unwrap_or(file);
    let plain = relative
        .components()
        .filter(|part| *part != Component::CurDir);
    let plain: std::path::PathBuf = plain.collect();
    let encoded = utf8_percent_encode(&plain.to_string_lossy(), PATH).to_string();
    if plain.is_absolute() {
        format!("file://{encoded}")
    } else {
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_below_the_folder_is_named_from_there() {
        let folder = Path::new("/srv/api");
        for (file, expected) in [
            ("policies/a.yaml", "policies/a.yaml"),
            ("./policies/a b.yaml", "policies/a%20b.yaml"),
            ("/srv/api/policies/a.yaml", "policies/a.yaml"),
            (
                "/etc/portcullis/ü.yaml",
                "file:///etc/portcullis/%C3%BC.yaml",
            ),
        ] {
            assert_eq!(uri(Path::new(file), folder), expected);
        }
    }
}
