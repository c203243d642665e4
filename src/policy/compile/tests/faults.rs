//! Every fault of a policy file: its place, what it says, and what to do.

mod keys;

use super::*;

/// Stands before the text of [`AFTER_HEAD`], on three lines.
const HEAD: &str =
    "dimensions: { tenant: T, site: S }\npermissions: { d:view: V, d:edit: E }\nupstream: api\n";

const AFTER_HEAD: &[(&str, &str)] = &[
    (
        "roles:\n  r: { permissions: [d:veiw] }\n",
        "5:22: permission `d:veiw` is not declared, did you mean `d:view`?",
    ),
    (
        "roles:\n  r: { permissions: ['e:*'] }\n",
        "5:22: `e:*` covers no permission that is declared, did you mean `d:*`?",
    ),
    (
        "roles:\n  r: { permisions: [d:view] }\n",
        "5:8: `permisions` is not a key of a role, did you mean `permissions`?",
    ),
    (
        "roles:\n  operator: { permissions: [d:view] }\n  r: { include: [operater] }\n",
        "6:18: role `operater` is not declared, did you mean `operator`?",
    ),
    (
        "roles:\n  a: { include: [b] }\n  b: { include: [c] }\n  c: { include: [b] }\n",
        "6:3: roles include each other in a circle: `b` includes `c` includes `b`",
    ),
    (
        "roles:\n  a: { include: [a] }\n",
        "5:3: roles include each other in a circle: `a` includes `a`",
    ),
    (
        "routes:\n  /x: public\n",
        "5:3: `/x` is not a route: expected methods and a path, such as `GET,HEAD /v1/devices/{device}`",
    ),
    (
        "routes:\n  get /x: public\n",
        "5:3: `get` is not a method that is forwarded, did you mean `GET`?",
    ),
    (
        "routes:\n  GET,GET /x: public\n",
        "5:3: `GET` stands twice in one route",
    ),
    (
        "routes:\n  GET,NO /x: public\n",
        "5:3: `NO` is not a method that is forwarded",
    ),
    (
        "routes:\n  TRACE /x: public\n",
        "5:3: `TRACE` is not a method that is forwarded",
    ),
    (
        "routes:\n  GET x: public\n",
        "5:7: `x` is not a path template: a path template starts with `/`: write `/x`",
    ),
    (
        "routes:\n  GET /a/{b: public\n",
        "5:10: `/a/{b` is not a path template: `{` is not closed: a parameter is written `{name}`",
    ),
    (
        "routes:\n  GET  /a: public\n",
        "5:7: ` /a` is not a path template: a path template starts with `/`: write `/ /a`",
    ),
    (
        "routes:\n  GET /x:\n",
        "5:3: route `GET /x` says nothing, and nothing is open by silence: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`",
    ),
    (
        "routes:\n  GET /x: ~\n",
        "5:11: `~` is not a requirement: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`",
    ),
    (
        "routes:\n  GET /x: publik\n",
        "5:11: `publik` is not a requirement: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`, did you mean `public`?",
    ),
    (
        "routes:\n  GET /x: d:veiw\n",
        "5:11: permission `d:veiw` is not declared, did you mean `d:view`?",
    ),
    (
        "routes:\n  GET /x: review_public\n",
        "5:11: an import could not tell who may do this, a person must decide: write `public`, or the permission that is needed",
    ),
    (
        "routes:\n  GET /x: [d:view]\n",
        "5:11: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`, found a list",
    ),
    (
        "routes:\n  GET /x: {}\n",
        "5:11: the route has no `needs`, and nothing is open by silence: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`",
    ),
    (
        "routes:\n  GET /x: { within: unlimited }\n",
        "5:11: the route has no `needs`, and nothing is open by silence: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`",
    ),
    (
        "routes:\n  GET /x: { all: [] }\n",
        "5:18: the list is empty: name permissions, or leave the key out",
    ),
    (
        "routes:\n  GET /x: { any: d:view }\n",
        "5:18: expected permissions as a list, `[…]`, found `d:view`",
    ),
    (
        "routes:\n  GET /x: { any: [d:view], all: [d:edit] }\n",
        "5:11: expected `all` or `any`, and one only",
    ),
    (
        "routes:\n  GET /x: { any: [d:view], timeout: 5m }\n",
        "5:11: `all` or `any` stands beside options of the route: write `needs: { any: […] }`",
    ),
    (
        "routes:\n  GET /x: { needs: { some: [d:view] } }\n",
        "5:22: `some` is not `all` or `any`",
    ),
    (
        "routes:\n  GET /x: { need: d:view }\n",
        "5:11: the route has no `needs`, and nothing is open by silence: expected `public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`\n5:13: `need` is not a key of a route, did you mean `needs`?",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, timeout: 5 }\n",
        "5:37: `5` is not a span of time: expected a number and a unit, such as `250ms`, `30s` or `15m`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, shadow: yes }\n",
        "5:36: `yes` is not `true` or `false`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, stream_max_age: 1h }\n",
        "5:28: `stream_max_age` is not in this release: remove it",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, upgrade: [h2c] }\n",
        "5:38: `h2c` is not `websocket`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, trailers: [X-Sum, content-type, x_sum, X-Portcullis-Account] }\n",
        "5:46: `content-type` cannot be a trailer: expected letters, digits and `-`, and no name that frames the message, carries a credential or is the gateway's\n5:60: `x_sum` cannot be a trailer: expected letters, digits and `-`, and no name that frames the message, carries a credential or is the gateway's\n5:67: `X-Portcullis-Account` cannot be a trailer: expected letters, digits and `-`, and no name that frames the message, carries a credential or is the gateway's",
    ),
    (
        "cors: allow\n",
        "4:7: `allow` is not `pass`, `answer` or `off`",
    ),
    (
        "cors: { origins: ['*', null, HTTPS://a, https://a/, https://a:443, https://a] }\n",
        "4:19: `*` is not an origin such as `https://app.example.com`: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path\n4:24: `null` is not an origin such as `https://app.example.com`: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path\n4:30: `HTTPS://a` is not an origin such as `https://app.example.com`: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path\n4:41: `https://a/` is not an origin such as `https://app.example.com`: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path\n4:53: `https://a:443` is not an origin such as `https://app.example.com`: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path",
    ),
    (
        "cors: { credentials: true }\n",
        "4:22: a page of any origin may ask, and so none may use the browser's credentials: name the `origins`",
    ),
    (
        "cors: { headers: ['*'], max_age: 2d }\n",
        "4:19: `*` is not the name of a header\n4:34: `2d` is not between 0s and 1day",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, body_bytes: 1M }\n",
        "5:40: `1M` is not a whole number from 0 to 18446744073709551615",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, unsafe_allow: [backslash] }\n",
        "5:43: `backslash` can only be allowed on an upstream, for all its routes",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, unsafe_allow: [dot_segment] }\n",
        "5:43: `dot_segment` cannot be allowed: no two readers agree on what it means",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, pass_authorization: true }\n",
        "5:48: `true` is not `foreign`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, upstream: apy }\n",
        "5:38: upstream `apy` is not in the settings, did you mean `api`?",
    ),
    (
        "within: { tenant: path.tenant }\nroutes:\n  GET /x: d:view\n",
        "6:3: route `GET /x` does not say its `tenant` as the file's `within` asks, there is no `{tenant}` in it: bind it in the route's own `within`, or say `unlimited` or `forwarded`",
    ),
    (
        "within: { tenant: path.tenant }\nroutes:\n  GET /x/a{tenant}: d:view\n",
        "6:3: route `GET /x/a{tenant}` does not say its `tenant` as the file's `within` asks, `{tenant}` shares its segment with other text: bind it in the route's own `within`, or say `unlimited` or `forwarded`",
    ),
    (
        "within: { tenant: path.tenant }\nroutes:\n  GET /x: { needs: d:view, within: { site: query.site } }\n",
        "6:3: route `GET /x` does not say its `tenant` as the file's `within` asks, there is no `{tenant}` in it: bind it in the route's own `within`, or say `unlimited` or `forwarded`",
    ),
    (
        "within: { tenent: path.tenant }\n",
        "4:11: dimension `tenent` is not declared, did you mean `tenant`?",
    ),
    (
        "routes:\n  GET /x/{tenant}: { needs: d:view, within: { tenant: path.tenat } }\n",
        "5:55: `tenat` is not a parameter of `/x/{tenant}`, did you mean `tenant`?",
    ),
    (
        "routes:\n  GET /x/{tenant}.json: { needs: d:view, within: { tenant: path.tenant } }\n",
        "5:60: `{tenant}` shares its segment with other text, and two readers could split it differently: bind a parameter that has a segment to itself",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: unlimitted }\n",
        "5:36: `unlimitted` is not a boundary: expected `unlimited`, `forwarded`, or a mapping such as `{ tenant: path.tenant }`, did you mean `unlimited`?",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: {} }\n",
        "5:36: `within` binds no dimension: name one, or say `unlimited`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: body.tenant } }\n",
        "5:46: `body.tenant` says no place in a request: expected `path.NAME`, `query.NAME` or `header.NAME`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: 'query.t[]' } }\n",
        "5:46: `query.t[]` says no place in a request: a query name is 1 to 64 letters, digits, `-`, `_`, `.` or `~`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: header.Authorization } }\n",
        "5:46: `header.Authorization` says no place in a request: this header is a credential, or is rewritten on the way",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: header.x_tenant } }\n",
        "5:46: `header.x_tenant` says no place in a request: a header name is letters, digits and `-`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: { query: t, separator: ';' } } }\n",
        "5:69: `;` cannot separate values: expected one character such as `,` or `|`",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: { header: X-Tenant, separator: ',' } } }\n",
        "5:46: `separator` goes with `query` only: path and header hold one value",
    ),
    (
        "routes:\n  GET /x: { needs: d:view, within: { tenant: { separator: ',' } } }\n",
        "5:46: expected one of `path`, `query` and `header`, and one only",
    ),
    (
        "routes:\n  GET /x: { needs: public, within: unlimited }\n",
        "5:36: a `public` or `any_account` route has no boundary: remove `within`",
    ),
    (
        "routes:\n  GET /x/{a}: d:view\n  GET /x/{b}: d:edit\n",
        "6:3: `GET /x/{b}` matches the same requests as `GET /x/{a}` at 5:3 and differs from it: make them ask the same, or remove one",
    ),
    (
        "routes:\n  GET,HEAD /x: d:view\n  HEAD /x: d:edit\n",
        "6:3: `HEAD /x` matches the same requests as `GET,HEAD /x` at 5:3 and differs from it: make them ask the same, or remove one",
    ),
    (
        "routes:\n  GET /a/{x}: d:view\n  GET /{x}/b: { needs: d:view, upstream: other }\n",
        "6:3: `GET /{x}/b` and `GET /a/{x}` at 5:3 can match one request, which must satisfy both, and lead to different upstreams: lead them to one",
    ),
    (
        "routes:\n  POST /oauth/token: public\n",
        "5:3: `POST /oauth/token` is an endpoint of the gateway itself: remove `POST /oauth/token`, which could never answer",
    ),
    (
        "accounts:\n  CI: {}\n",
        "5:3: `CI` is not an account name: expected 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or a digit",
    ),
    (
        "accounts:\n  ci: { grants: [{ role: operator }] }\n",
        "5:26: role `operator` is not declared",
    ),
    (
        "accounts:\n  ci: { grants: [operator] }\n",
        "5:18: expected a grant as a mapping, `key: value`, found `operator`",
    ),
    (
        "accounts:\n  ci: { grants: [{ within: { tenant: [a] } }] }\n",
        "5:18: the grant names no `role`, such as `{ role: operator }`",
    ),
    (
        "roles: { r: { permissions: [d:view] } }\naccounts:\n  ci: { grants: [{ role: r, within: { tennant: [a] } }] }\n",
        "6:39: dimension `tennant` is not declared, did you mean `tenant`?",
    ),
    (
        "roles: { r: { permissions: [d:view] } }\naccounts:\n  ci: { grants: [{ role: r, within: { tenant: [] } }] }\n",
        "6:47: the list is empty: name values of `tenant`, or leave the key out",
    ),
    (
        "roles: { r: { permissions: [d:view] } }\naccounts:\n  ci: { grants: [{ role: r, within: { tenant: acme } }] }\n",
        "6:47: expected values of `tenant` as a list, `[…]`, found `acme`",
    ),
    (
        "roles: { r: { permissions: [d:view] } }\naccounts:\n  ci: { grants: [{ role: r, within: }] }\n",
        "6:35: `within` limits nothing: name a dimension and its values, or leave it out for everywhere",
    ),
];

const ALONE: &[(&str, &str)] = &[
    (
        "permision: {}\n",
        "1:1: `permision` is not a key of a policy file, did you mean `permissions`?",
    ),
    (
        "- a\n",
        "1:1: expected a policy file as a mapping, `key: value`, found a list",
    ),
    (
        "trusts: {}\n",
        "1:1: `trusts` is not in this release: remove it",
    ),
    (
        "routes: [a]\n",
        "1:9: expected `routes` as a mapping, `key: value`, found a list",
    ),
    (
        "roles: x\n",
        "1:8: expected `roles` as a mapping, `key: value`, found `x`",
    ),
    (
        "permissions: { devices: D }\n",
        "1:16: `devices` is not a permission: expected `resource:action`, such as `devices:view`",
    ),
    (
        "permissions: { d:view: }\n",
        "1:22: expected a description, one sentence for people, found nothing",
    ),
    (
        "permissions: { portcullis.keys:edit: Mine }\n",
        "1:16: `portcullis.keys:edit` is reserved: `portcullis.` begins the gateway's own permissions",
    ),
    (
        "dimensions: { Tenant: T }\n",
        "1:15: `Tenant` is not a dimension name: expected 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or a digit",
    ),
    (
        "hosts: ['*.example.com', 'a:80', 'ok.example.com']\n",
        "1:9: `*.example.com` is not a host name: expected one such as `api.example.com`, without a port and without `*`\n1:26: `a:80` is not a host name: expected one such as `api.example.com`, without a port and without `*`",
    ),
    (
        "hosts: []\n",
        "1:8: the list is empty: name host names, or leave the key out",
    ),
    (
        "permissions: { d:view: V }\nroutes:\n  GET /x: d:view\n",
        "3:3: route `GET /x` leads nowhere: name an `upstream` for it, or for the file",
    ),
    (
        "upstream: nowhere\n",
        "1:11: upstream `nowhere` is not in the settings",
    ),
    (
        "accounts:\n  ci: { allow_from: [] }\n",
        "2:21: the list is empty: name networks such as `10.0.0.0/8`, or leave the key out",
    ),
    (
        "accounts:\n  ci: { allow_from: [10.0.0.0/33] }\n",
        "2:22: `10.0.0.0/33` is not a network or an address, such as `10.0.0.0/8`",
    ),
    (
        "accounts:\n  ci: { id: 'a b' }\n",
        "2:13: `a b` is not an account id: expected 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `-`",
    ),
    (
        "accounts:\n  ci: { identities: [] }\n",
        "2:9: `identities` is not in this release: remove it",
    ),
    (
        "accounts:\n  ci: { keys: [{ id: pck_x }] }\n",
        "2:16: a key needs both `id` and `digest`: `pck_…`, and `sha256:` of its secret",
    ),
    (
        "accounts:\n  ci: { keys: [{ id: pck_x, digest: 'sha256:00' }] }\n",
        "2:22: not a key id: expected `pck_`, 22 letters or digits and 6 of checksum\n2:37: not a digest: expected `sha256:` and 64 hexadecimal digits",
    ),
    (
        "accounts:\n  a: { id: sa_1 }\n  b: { id: sa_1 }\n",
        "3:3: account id `sa_1` is defined twice, first at 2:3",
    ),
    (
        "groups:\n  g: { members: [A] }\n",
        "2:18: `A` is not an account name: expected 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or a digit",
    ),
    (
        "groups:\n  g: { grants: [{ role: r }] }\n",
        "2:25: role `r` is not declared",
    ),
    (
        "tests: [{ request: GET /x }]\n",
        "1:9: a test needs both `request` and `expect`: `GET /v1/tenants`, and `allow` or a reason",
    ),
    (
        "tests: [{ as: nobody, request: GET /x, expect: allow }]\n",
        "1:9: account `nobody` is not declared",
    ),
    (
        "tests: [{ request: get /x, expect: allow }]\n",
        "1:20: `get /x` is not a request: expected a method and a path, such as `GET /v1/tenants?page=2`",
    ),
    (
        "tests: [{ request: GET /x, expect: permision_missing }]\n",
        "1:36: `permision_missing` is not `allow` or a reason, did you mean `permission_missing`?",
    ),
    (
        "tests: [{ request: GET /x, expect: allow, from: here }]\n",
        "1:49: `here` is not an address such as `10.1.2.3`",
    ),
    (
        "tests: [{ request: GET /x, expect: allow, form: 10.0.0.1 }]\n",
        "1:43: `form` is not a key of a test, did you mean `from`?",
    ),
];

fn faults(text: &str) -> String {
    let compiled = compile(&[file("p.yaml", text)], &context(&["api", "other"]));
    compiled
        .err()
        .unwrap_or_default()
        .to_string()
        .replace("p.yaml:", "")
}

#[test]
fn each_fault_says_where_what_and_what_to_do() {
    for (text, expected) in AFTER_HEAD {
        assert_eq!(faults(&format!("{HEAD}{text}")), *expected, "{text}");
    }
    for (text, expected) in ALONE {
        assert_eq!(faults(text), *expected, "{text}");
    }
}

#[test]
fn several_faults_are_reported_at_once() {
    let text = format!(
        "{HEAD}rolez: {{}}\nroutes:\n  GET /x: d:veiw\n  GET /y: {{ needs: d:view, shadow: yes }}\n  GET /z: publik\n  GET /z: public\n"
    );
    let lines: Vec<String> = faults(&text)
        .lines()
        .map(|line| line.chars().take(4).collect())
        .collect();
    assert_eq!(lines, ["4:1:", "6:11", "7:36", "8:11", "9:3:"]);
}

#[test]
fn what_two_files_define_is_a_fault_that_names_both_places() {
    let one = "dimensions: { tenant: T }\npermissions: { d:view: V }\nroles: { r: { permissions: [d:view] } }\naccounts: { a: {} }\ngroups: { g: {} }\n";
    let error = compile(&[file("a.yaml", one), file("b.yaml", one)], &context(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.yaml:1:15: dimension `tenant` is defined twice, first at a.yaml:1:15
b.yaml:2:16: permission `d:view` is defined twice, first at a.yaml:2:16
b.yaml:3:10: role `r` is defined twice, first at a.yaml:3:10
b.yaml:4:13: account `a` is defined twice, first at a.yaml:4:13
b.yaml:5:11: group `g` is defined twice, first at a.yaml:5:11"
    );
}

#[test]
fn a_fault_in_one_file_does_not_hide_those_of_another() {
    let files = [
        file("a.yaml", "permissions: { d:view: V\n"),
        file("b.yaml", "upstream: nowhere\nroutes:\n  GET /x: publik\n"),
    ];
    let error = compile(&files, &context(&["api"])).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
    assert!(
        error.starts_with("a.yaml:1:14: this is not YAML: "),
        "{error}"
    );
}
