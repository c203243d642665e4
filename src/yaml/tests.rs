//! Rows G23 and G24: what a reader of files must survive, and what must stay as written.

use std::time::{Duration, Instant};

use super::*;
use crate::words::Faults;

fn read(text: &str) -> (Option<Node>, String) {
    let mut faults = Faults::default();
    let node = parse(&Arc::from(Path::new("f.yaml")), text, &mut faults);
    let faults = faults.into_result(()).err().unwrap_or_default();
    (node, faults.to_string())
}

/// The tree on one line, with the places left out.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Scalar(text) => format!("{text:?}"),
        Value::Nothing => "-".to_owned(),
        Value::List(nodes) => {
            format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Value::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(k, v)| format!("{}: {}", k.text, show(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn g24_scalars_stay_what_was_written() {
    let (node, faults) = read(
        "a: no\nb: 042\nc: 1e3\nd: 1.10\ne: ~\nf: NO\ng: 0x1F\nh: 2026-01-01\ni: \"a\\tb\"\nj: 'it''s'\nk:\nl: true\nm: ''\n",
    );
    assert_eq!(faults, "");
    assert_eq!(
        show(&node.unwrap()),
        r#"{a: "no", b: "042", c: "1e3", d: "1.10", e: "~", f: "NO", g: "0x1F", h: "2026-01-01", i: "a\tb", j: "it's", k: -, l: "true", m: ""}"#
    );
}

#[test]
fn every_value_and_key_knows_its_place() {
    let (node, _) = read("a:\n  - x\n  - é: [1, 2]\n");
    let node = node.unwrap();
    let Value::Mapping(entries) = &node.value else {
        panic!()
    };
    let (key, list) = &entries[0];
    assert_eq!(key.place.to_string(), "f.yaml:1:1");
    let Value::List(items) = &list.value else {
        panic!()
    };
    assert_eq!(items[0].place.to_string(), "f.yaml:2:5");
    let Value::Mapping(inner) = &items[1].value else {
        panic!()
    };
    assert_eq!(inner[0].0.place.to_string(), "f.yaml:3:5");
    let Value::List(numbers) = &inner[0].1.value else {
        panic!()
    };
    assert_eq!(numbers[1].place.to_string(), "f.yaml:3:12");
}

#[test]
fn an_empty_file_is_a_mapping_without_keys() {
    for text in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "\u{feff}",
        "\u{feff}# x",
    ] {
        let (node, faults) = read(text);
        assert_eq!(faults, "", "{text:?}");
        let mut faults = Faults::default();
        let node = node.unwrap();
        assert_eq!(
            node.entries("a file", &mut faults).unwrap().len(),
            0,
            "{text:?}"
        );
    }
}

#[test]
fn g23_what_is_not_read_is_said_with_its_place() {
    let table = [
        (
            "a: &x 1\nb: 2\n",
            "f.yaml:1:7: anchors are not read: remove it, or quote the value if a `&` is meant",
        ),
        (
            "a: *x\n",
            "f.yaml:1:4: aliases are not read: write the value out, or quote it if a `*` is meant",
        ),
        (
            "a: !str 1\n",
            "f.yaml:1:9: tags are not read: remove it, or quote the value if a `!` is meant",
        ),
        (
            "a: !!python/object:os.system 1\n",
            "f.yaml:1:30: tags are not read: remove it, or quote the value if a `!` is meant",
        ),
        (
            "<<: {a: 1}\n",
            "f.yaml:1:1: merge keys are not read: write the keys out",
        ),
        (
            "a: 1\na: 2\n",
            "f.yaml:2:1: `a` stands here twice, first on line 1",
        ),
        (
            "a: 1\n\"a\": 2\n",
            "f.yaml:2:1: `a` stands here twice, first on line 1",
        ),
        (
            "{a: 1, b: 2, a: 3}\n",
            "f.yaml:1:14: `a` stands here twice, first on line 1",
        ),
        ("[a, b]: 1\n", "f.yaml:1:1: a key must be text"),
        ("? {a: b}\n: 1\n", "f.yaml:1:3: a key must be text"),
        (": 1\n", "f.yaml:1:1: a key must be text"),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2:1: a second document starts here: one file holds one, split it",
        ),
        (
            "a: \u{1b}[2J\n",
            "f.yaml:1:4: U+001B is a control character: remove it",
        ),
        (
            "a: 1\nb: \0\n",
            "f.yaml:2:4: U+0000 is a control character: remove it",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(read(text).1, expected, "{text:?}");
    }
}

#[test]
fn g23_broken_yaml_is_one_fault_with_a_place() {
    for text in [
        "a:\n\tb: 1\n",
        "a: [1, 2\n",
        "a: \"x\n",
        "%YAML 1.2\n---\na: 1\n",
        "a: b: c\n",
        "- a\nb: 1\n",
        "@a\n",
    ] {
        let (node, faults) = read(text);
        assert!(node.is_none(), "{text:?}");
        assert!(
            faults.starts_with("f.yaml:") && !faults.contains('\n'),
            "{text:?}: {faults}"
        );
        assert!(faults.contains("this is not YAML: "), "{text:?}: {faults}");
    }
}

#[test]
fn several_faults_are_reported_at_once() {
    let (_, faults) = read("a: &x 1\nb: *x\nc: !t 2\nc: 3\n");
    assert_eq!(faults.lines().count(), 4, "{faults}");
}

/// 100 ms is what is meant; but a debug build on a busy machine is not what is shipped, and a bomb
/// that does go off takes hours.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn g23_bombs_go_off_cheaply() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..40 {
        let ten = vec![format!("*a{}", level - 1); 9].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
    }
    let deep_flow = "[".repeat(1000);
    let deep_block = (0..1000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect::<String>();
    let deep_list = "- ".repeat(1000);
    let deep_key = "? ".repeat(1000);
    let scalar = format!("a: {}\n", "x".repeat(10 * 1024 * 1024));
    let keys = (0..1_000_000)
        .map(|n| format!("k{n}:\n"))
        .collect::<String>();
    let nodes = format!("[{}]", "a,".repeat(FILE_BYTES_MAX / 2 - 2));
    let long_key = format!("{}: 1\n", "k".repeat(FILE_BYTES_MAX - 10));
    for (name, text) in [
        ("alias bomb", bomb),
        ("flow depth", deep_flow),
        ("block depth", deep_block),
        ("list depth", deep_list),
        ("key depth", deep_key),
        ("10 MiB scalar", scalar),
        ("million keys", keys),
        ("many nodes", nodes),
        ("long key", long_key),
    ] {
        let start = Instant::now();
        let (_, faults) = read(&text);
        assert!(!faults.is_empty(), "{name}");
        let took = start.elapsed();
        assert!(took < PATIENCE, "{name} took {took:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_said_to_be_so() {
    let file: Arc<Path> = Arc::from(Path::new("f.yaml"));
    let fault = |bytes: &[u8]| decode(&file, bytes.to_vec()).unwrap_err().to_string();
    assert_eq!(
        fault(b"\xff\xfea\0"),
        "f.yaml: the file is UTF-16: save it as UTF-8"
    );
    assert_eq!(
        fault(b"\xfe\xff\0a"),
        "f.yaml: the file is UTF-16: save it as UTF-8"
    );
    assert_eq!(
        fault(b"a: 1\nb: \xc3\xa9\xff\n"),
        "f.yaml:2:5: the file is not UTF-8 from here on: save it as UTF-8"
    );
    let large = vec![b'a'; FILE_BYTES_MAX + 1];
    assert!(fault(&large).contains("split it"));
    assert_eq!(
        decode(&file, b"\xef\xbb\xbfa: 1".to_vec()).unwrap(),
        "\u{feff}a: 1"
    );
}

#[test]
fn a_message_carries_no_control_bytes_and_no_novel() {
    let text = format!("\u{1b}[2J\u{202e}{}", "x".repeat(500));
    let shown = quoted(&text).to_string();
    assert!(
        shown.chars().count() < 120 && !shown.contains(['\u{1b}', '\u{202e}']),
        "{shown}"
    );
}
