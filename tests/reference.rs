//! The options that `README.md` lists are those that files may hold.

use std::collections::BTreeSet;
use std::fs;

/// Lists of keys in the sources, whose words stand between quotes.
const LISTS: [(&str, &str); 6] = [
    ("src/policy/file/route.rs", "const KEYS"),
    ("src/settings/upstream.rs", "const KEYS"),
    ("src/settings/listener.rs", "const KEYS"),
    ("src/settings/limits.rs", "const KEYS"),
    ("src/settings/http2.rs", "const KEYS"),
    ("src/settings/denials.rs", "const KEYS"),
];

fn keys((path, list): (&str, &str)) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let (_, listed) = text
        .split_once(list)
        .unwrap_or_else(|| panic!("{path} has no `{list}`"));
    let (listed, _) = listed.split_once("];").unwrap();
    let words = listed.split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

#[test]
fn every_option_stands_in_the_readme() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, options) = readme.split_once("\n## Options\n").unwrap();
    let (options, _) = options.split_once("\n## ").unwrap();
    for list in LISTS {
        let keys = keys(list);
        assert!(keys.len() > 4, "{list:?} was not read: {keys:?}");
        for key in keys {
            let named = options.contains(&format!("`{key}`"));
            assert!(
                named,
                "`{key}` of {} is not in README.md, under Options",
                list.0
            );
        }
    }
}
