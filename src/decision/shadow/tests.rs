//! Which refusals are not enforced, and where the requests go then.

use super::super::tests::world::{Call, World};
use super::*;
use crate::settings::{UpstreamAddress, UpstreamRules};
use crate::words::{Method, PathClass};

const POLICY: &str = r"
permissions: { a:view: A }
roles: { viewer: { description: Sees, permissions: [a:view] } }
accounts:
  seer: { description: A, grants: [{ role: viewer }] }
  nothing: { description: B, grants: [] }
upstream: quiet
routes:
  GET /a/{x}: a:view
  PUT /both/{x}: a:view
  POST /both/{x}: { needs: a:view, upstream: calm }
  POST /pair/{x}: a:view
  PUT /pair/{x}: { needs: a:view, upstream: calm }
  GET /half/{x}: a:view
  PUT /half/{x}: { needs: a:view, upstream: loud }
  GET /soft/{x}: { needs: a:view, upstream: loud, shadow: true }
  GET /open: { needs: public, upstream: loud }
";

fn at(host: &str, port: u16) -> Vec<UpstreamAddress> {
    let host = host.to_owned();
    vec![UpstreamAddress::Tcp { host, port }]
}

fn rules(shadow: bool, addresses: Vec<UpstreamAddress>) -> UpstreamRules {
    UpstreamRules {
        shadow,
        addresses,
        ..UpstreamRules::default()
    }
}

/// `quiet` takes what no route names, `calm` is in shadow too, `loud` is enforced, at `port`.
fn world(port: u16) -> World {
    let quiet = UpstreamRules {
        is_default: true,
        ..rules(true, at("10.0.0.1", 80))
    };
    let calm = rules(true, at("10.0.0.2", 80));
    let loud = rules(false, at("api.internal", port));
    World::of(
        POLICY,
        vec![("quiet", quiet), ("calm", calm), ("loud", loud)],
    )
}

/// `reason`, and behind an arrow where the request goes in spite of it.
fn came_of(world: &World, account: &str, method: Method, target: &str) -> String {
    let call = Call {
        account,
        method,
        target,
        headers: &[],
    };
    match world.decide(&call) {
        Outcome::Allowed(_) => "allowed".to_owned(),
        Outcome::Denied(denial) => denial.reason.to_string(),
        Outcome::Shadowed(permit, denial) => {
            assert!(permit.identity().is_none() && permit.passes_authorization());
            assert_eq!(permit.is_raw(), denial.class.is_some());
            let upstream = world.policy.upstream(permit.upstream());
            format!("{} > {upstream}{}", denial.reason, permit.path_and_query())
        }
    }
}

#[test]
fn what_no_route_names_goes_where_its_path_lives_or_to_the_default() {
    let world = world(8080);
    for (account, method, target, expected) in [
        (
            "-",
            Method::Get,
            "/nowhere",
            "credential_missing > quiet/nowhere",
        ),
        (
            "seer",
            Method::Get,
            "/%6eowhere",
            "route_missing > quiet/nowhere",
        ),
        (
            "seer",
            Method::Delete,
            "/a/7",
            "method_not_allowed > quiet/a/7",
        ),
        // Two upstreams have the path, and nothing says which one would take it.
        (
            "seer",
            Method::Delete,
            "/both/7",
            "method_not_allowed > quiet/both/7",
        ),
        (
            "seer",
            Method::Delete,
            "/pair/7",
            "method_not_allowed > quiet/pair/7",
        ),
        // One of the path's routes is enforced, and not every upstream looks at the method.
        ("seer", Method::Delete, "/half/7", "method_not_allowed"),
        ("-", Method::Delete, "/half/7", "credential_missing"),
        // A route in shadow says nothing of the methods beside it.
        ("seer", Method::Delete, "/soft/7", "method_not_allowed"),
        ("seer", Method::Delete, "/open", "method_not_allowed"),
        (
            "nothing",
            Method::Get,
            "/soft/7",
            "permission_missing > loud/soft/7",
        ),
        ("seer", Method::Get, "/soft/7", "allowed"),
    ] {
        let found = came_of(&world, account, method, target);
        assert_eq!(found, expected, "{account} {method} {target}");
    }
}

/// The fault planted: the same address under another name, and a route enforced there. The upstream of
/// each path comes with it.
#[test]
fn an_enforced_route_at_the_same_address_closes_the_raw_path() {
    let (apart, together) = (world(8080), world(80));
    for (upstream, method, target) in [
        ("quiet", Method::Get, "/a/x%252e"),
        ("quiet", Method::Get, "/x/..%2fhalf/7"),
        ("quiet", Method::Get, "//half/7"),
        ("calm", Method::Post, "/both/x%25"),
    ] {
        let open = format!("path_ambiguous > {upstream}{target}");
        assert_eq!(came_of(&apart, "-", method, target), open, "{target}");
        let found = came_of_typed(&together, "-", method, target);
        assert_eq!(found, "path_ambiguous", "{target}");
    }
    // A route in shadow on an upstream that is not: nothing says how that reads a path.
    let found = came_of(&apart, "-", Method::Get, "/soft/x%25");
    assert_eq!(found, "path_ambiguous");
}

#[test]
fn nor_is_its_path_met_in_another_spelling() {
    let (apart, together) = (world(8080), world(80));
    for (target, is_met) in [
        ("/nowhere", false),
        ("/a/7", false),
        ("/half/7:", false), // by GET it is in shadow
        ("/HALF/7", true),
        ("/half/7/", true),
    ] {
        let open = format!("credential_missing > quiet{target}");
        let shut = if is_met { "credential_missing" } else { &open };
        let found = |world| came_of(world, "-", Method::Get, target);
        assert_eq!(found(&apart), open, "{target}");
        assert_eq!(found(&together), shut, "{target}");
    }
}

/// A stranger's refusal is another one, and his path is looked at as closely.
#[test]
fn want_of_a_credential_does_not_open_a_path_that_is_refused_with_one() {
    let text = POLICY.replace(
        "  GET /open:",
        "  GET /list/{x}: { needs: a:view, upstream: loud, unsafe_allow: [semicolon] }\n  GET /open:",
    );
    let world = World::of(
        &text,
        vec![
            ("quiet", rules(false, at("10.0.0.1", 80))),
            ("calm", rules(false, at("10.0.0.1", 80))),
            (
                "loud",
                UpstreamRules {
                    method_in_query: false,
                    ..rules(false, at("10.0.0.1", 80))
                },
            ),
        ],
    );
    for account in ["-", "nothing", "seer"] {
        let found = came_of(&world, account, Method::Get, "/soft/a;b");
        let expected = if account == "-" {
            "credential_missing"
        } else {
            "path_ambiguous"
        };
        assert_eq!(found, expected, "{account}");
    }
}

#[test]
fn the_nearest_word_holds_route_before_file_before_upstream() {
    let world = |file: &str, route: &str, upstream: bool| {
        let text = format!(
            "{file}upstream: a\npermissions: {{ a:view: A }}\nroles: {{ viewer: {{ description: S, permissions: [a:view] }} }}\nroutes:\n  GET /x: {{ needs: a:view{route} }}\n"
        );
        let world = World::of(&text, vec![("a", rules(upstream, at("10.0.0.1", 80)))]);
        world.policy.routes[0].shadow
    };
    for (file, route, upstream, expected) in [
        ("", "", false, false),
        ("", "", true, true),
        ("shadow: true\n", "", false, true),
        ("shadow: false\n", "", true, false),
        ("shadow: true\n", ", shadow: false", true, false),
        ("shadow: false\n", ", shadow: true", false, true),
    ] {
        assert_eq!(
            world(file, route, upstream),
            expected,
            "{file}{route}{upstream}"
        );
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn path(&mut self) -> String {
        const PIECES: &[&str] = &[
            "/", "/", "/", "half", "half", "Half", "/half/7", "a", "both", "soft", "open", "7",
            "%37", ":", "%3a", "%68alf", "h%41lf", "..", "/../", "%2e%2e", "%2f", "%2F", "\\",
            "%5c", ";", ";a", "%3b", "%25", "%252f", "%3f", "%23", "//", "%ff", "%c3%89",
            "nowhere",
        ];
        let count = 1 + self.below(6);
        let pieces = (0..count).map(|_| PIECES[self.below(PIECES.len())]);
        format!("/{}", pieces.collect::<String>())
    }
}

/// A path as the most careless reader takes it: everything decoded, twice, cut, folded and climbed.
fn carelessly(path: &str) -> String {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let once = String::from_utf8_lossy(&decode(path)).into_owned();
    let twice = String::from_utf8_lossy(&decode(&once)).replace('\\', "/");
    let cut = twice.split(['?', '#']).next().unwrap_or_default();
    let mut segments: Vec<String> = Vec::new();
    for segment in cut.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_lowercase()),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Whatever is sent, shadow changes no verdict but what becomes of a refusal; and nothing that any
/// reader takes for an enforced route's path goes to where that route leads.
#[test]
fn no_reader_finds_a_way_around_what_is_enforced() {
    const CASES: usize = 20_000;
    let enforced = {
        let address = || at("10.0.0.1", 80);
        let names = ["quiet", "calm", "loud"];
        World::of(
            &POLICY.replace(", shadow: true", ""),
            names.map(|name| (name, rules(false, address()))).into(),
        )
    };
    let worlds = [world(80), world(8080)];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut forwarded, mut met) = (0, 0);
    for _ in 0..CASES {
        let path = random.path();
        let method = [Method::Get, Method::Put, Method::Delete][random.below(3)];
        let account = ["-", "nothing", "seer"][random.below(3)];
        if crate::request::Target::from_text(&path, worlds[1].policy.classes_read).is_err() {
            continue;
        }
        let without = came_of_typed(&enforced, account, method, &path);
        let read = carelessly(&path);
        let rest = read.strip_prefix("/half/");
        let is_secret = rest.is_some_and(|rest| !rest.contains('/'));
        for (world, shares) in worlds.iter().zip([true, false]) {
            let with = came_of_typed(world, account, method, &path);
            let (reason, goes) = with.split_once(" > ").unwrap_or((&with, ""));
            assert_eq!(reason, without, "{account} {method} {path}");
            forwarded += usize::from(!goes.is_empty());
            // `GET /half/{x}` itself is in shadow and leads to `quiet`.
            let is_own = matches!(method, Method::Get);
            if is_secret && shares && !is_own {
                met += 1;
                assert_eq!(
                    goes, "",
                    "{account} {method} {path} reaches what is enforced"
                );
            }
        }
    }
    assert!(
        forwarded > CASES / 10 && met > CASES / 100,
        "{forwarded} {met}"
    );
}

/// The same for a path that perhaps cannot be read in this world.
fn came_of_typed(world: &World, account: &str, method: Method, path: &str) -> String {
    match crate::request::Target::from_text(path, world.policy.classes_read) {
        Ok(_) => came_of(world, account, method, path),
        Err(_) => "path_ambiguous".to_owned(),
    }
}

/// What shadow forgives is not a second method, nor a way to what is ours.
#[test]
fn neither_another_method_nor_our_own_path_goes_on_in_disguise() {
    let quiet = UpstreamRules {
        is_default: true,
        method_in_query: true,
        ..rules(true, at("10.0.0.1", 80))
    };
    let loud = UpstreamRules {
        method_in_query: false,
        ..rules(false, at("10.0.0.2", 80))
    };
    let calm = rules(true, at("10.0.0.3", 80));
    let upstreams = vec![("quiet", quiet), ("calm", calm), ("loud", loud)];
    let world = World::of(POLICY, upstreams);
    for (target, goes_to) in [
        ("/soft/7?method=DELETE", "loud"),
        ("/soft/7?_method=DELETE", ""),
        ("/nowhere?_method=DELETE", "quiet"),
        ("/oauth/tokens", "quiet"),
        ("/OAUTH/token", ""),
    ] {
        let found = came_of(&world, "-", Method::Get, target);
        let expected = match goes_to {
            "" => "credential_missing".to_owned(),
            upstream => format!("credential_missing > {upstream}{target}"),
        };
        assert_eq!(found, expected, "{target}");
    }
}

/// What an upstream takes for data is a second reading all the same, and may be an enforced route's.
#[test]
fn a_class_that_is_allowed_goes_on_only_where_nothing_is_enforced() {
    for (port, came) in [
        (8080, "credential_missing > quiet/half;x/7"),
        (80, "credential_missing"),
    ] {
        let quiet = UpstreamRules {
            is_default: true,
            unsafe_allow: [PathClass::Semicolon].into_iter().collect(),
            ..rules(true, at("10.0.0.1", 80))
        };
        let calm = rules(true, at("10.0.0.2", 80));
        let loud = rules(false, at("api.internal", port));
        let upstreams = vec![("quiet", quiet), ("calm", calm), ("loud", loud)];
        let world = World::of(POLICY, upstreams);
        assert_eq!(
            came_of(&world, "-", Method::Get, "/half;x/7"),
            came,
            "{port}"
        );
    }
}
