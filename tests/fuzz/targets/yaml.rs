//! Whatever stands in a file, reading it ends, with what it means or with faults that name places
//! (G01 and those after it). The input is a file; it is read as settings and as a policy.

use std::path::Path;
use std::sync::Arc;

use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::policy::{Lookup, Policy, PolicyTest};
use portcullis::request::Target;
use portcullis::settings::Settings;
use portcullis::words::{Faults, Method};

pub(crate) fn run(data: &[u8]) {
    let path: Arc<Path> = Arc::from(Path::new("f.yaml"));
    let text = match portcullis::yaml::decode(&path, data.to_vec()) {
        Ok(text) => text,
        Err(fault) => return said(&Faults::from(fault), &String::from_utf8_lossy(data)),
    };
    match Settings::from_text(&path, &text) {
        Ok(settings) => drop(settings),
        Err(faults) => said(&faults, &text),
    }
    let file = SourceFile {
        path,
        text: text.clone(),
    };
    match compile(std::slice::from_ref(&file), &Context::default()) {
        Ok(policy) => holds(&policy, &file),
        Err(faults) => said(&faults, &text),
    }
}

/// There is a fault; each has a place in the text, and is one line that a terminal may show.
fn said(faults: &Faults, text: &str) {
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    assert!(faults.iter().count() > 0, "nothing is said");
    for fault in faults.iter() {
        assert!(fault.place.line <= lines + 1, "{fault}");
        assert!(fault.place.line == 0 || fault.place.column >= 1, "{fault}");
        assert!(!fault.message.is_empty(), "{fault}");
        assert!(
            !fault.message.contains(char::is_control),
            "{:?}",
            fault.message
        );
    }
}

/// A policy that compiles answers any question, and compiles again to the same.
fn holds(policy: &Policy, file: &SourceFile) {
    let again = compile(std::slice::from_ref(file), &Context::default());
    assert_eq!(
        again.map(|again| again.hash).ok().as_ref(),
        Some(&policy.hash)
    );
    for route in &policy.routes {
        let path = example(route.template.as_str());
        let host = route.hosts.first().map(String::as_str);
        for method in route.methods.iter() {
            match policy.find(host, method, &path) {
                Ok(Lookup::Found(found)) => {
                    for route in std::iter::once(found.primary).chain(found.also) {
                        let _ = policy.route(route);
                    }
                }
                other => panic!("{method} {path} leads to {other:?} in\n{}", file.text),
            }
        }
        let _ = policy.find(None, Method::Purge, &path);
    }
    for PolicyTest { target, .. } in &policy.tests {
        let _ = Target::from_text(target, policy.classes_allowed);
    }
}

/// A path that the template matches.
fn example(template: &str) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('z');
        text.push_str(part.split_once('}').map_or("", |(_, after)| after));
    }
    text
}
