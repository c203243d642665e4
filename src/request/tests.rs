//! Rows of hostile input that concern the target, as one table each.

use http::uri::PathAndQuery;

use super::*;
use PathClass::{
    Backslash, BadEscape, Control, DotSegment, EmptySegment, EncodedDelimiter, EncodedPercent,
    EncodedSlash, Fragment, NonUtf8, RawCharacter, Semicolon,
};

fn set(classes: &[PathClass]) -> ClassSet {
    classes.iter().copied().collect()
}

/// Reads `text` both ways and says what became of it: the target as forwarded, or the class.
fn read(text: &str, allowed: &[PathClass]) -> Result<String, PathClass> {
    let typed = Target::from_text(text, set(allowed));
    if let Ok(raw) = PathAndQuery::try_from(text)
        && !text.contains('#')
    {
        let received = Target::parse(&raw, set(allowed));
        assert_eq!(
            received.as_ref().map_err(|fault| Some(fault.class)),
            typed.as_ref().map_err(TargetError::class),
            "a command and the wire read `{text}` alike"
        );
    }
    let typed = typed.map_err(|fault| fault.class().expect("every row starts with a slash"))?;
    Ok(typed.path_and_query().as_str().to_owned())
}

fn check(text: &str, allowed: &[PathClass], expected: Result<&str, PathClass>) {
    assert_eq!(
        read(text, allowed),
        expected.map(str::to_owned),
        "`{text}` where {allowed:?} may pass"
    );
}

/// `name: ["a", "b"] => Class` — every one is refused for the class when nothing is allowed.
macro_rules! refused {
    ($($name:ident: [$($text:expr),+ $(,)?] => $class:expr;)+) => {
        $(#[test] fn $name() { $(check($text, &[], Err($class));)+ })+
    };
}

refused! {
    a01_dots_are_refused: [
        "/v1/./items", "/public/../admin/x", "/../x", "/a/.", "/a/..", "/.", "/..", "/./", "/../",
        "/a/../..", "/.?x", "/a/..?x=1",
    ] => DotSegment;
    a02_escaped_dots_are_dots: [
        "/%2e/x", "/%2E%2e/x", "/.%2e/x", "/%2e./x", "/public/%2e%2e/admin/x", "/a/%2e%2E", "/%2e",
    ] => DotSegment;
    a03_escaped_percent_is_refused: [
        "/%252e%252e/x", "/a%252fb", "/100%25", "/%25", "/%2541",
    ] => EncodedPercent;
    a03_escaped_delimiters_are_refused: ["/a%3fb", "/a%3Fb=c", "/a%23b"] => EncodedDelimiter;
    a04_escaped_slashes_are_refused: [
        "/public%2F..%2Fadmin", "/v1/items/a%2fb", "/%2F", "/a%2F/b",
    ] => EncodedSlash;
    a05_empty_segments_are_refused: [
        "//admin/x", "/v1//items", "/v1/items//", "//", "///", "/a//?b",
    ] => EmptySegment;
    a06_two_slashes_are_no_authority: ["//other.example/admin", "//u@h:1/x"] => EmptySegment;
    a08_path_parameters_are_refused: [
        "/admin;x=y/z", "/public/..;/admin/x", "/admin%3Bx", "/admin%3bx", "/;/admin", "/a;",
    ] => Semicolon;
    a09_backslashes_are_refused: [
        "/public\\..\\admin", "/a%5Cb", "/a%5cb", "/\\", "/\\\\host/x",
    ] => Backslash;
    a11_escaped_controls_are_refused: [
        "/%00", "/a%0d%0ab", "/%09", "/%1b", "/%7f", "/%7F", "/a%0Ab/c", "/%c2%9b2J",
    ] => Control;
    a12_raw_characters_beyond_ascii_are_refused: ["/café", "/\u{80}", "/\u{2044}", "/😀"] => RawCharacter;
    a13_bad_escapes_are_refused: [
        "/%", "/%2", "/%z1", "/%u0041", "/%-1", "/a%", "/%%41", "/%2/e", "/% 2", "/%+1", "/%2?e",
    ] => BadEscape;
    a14_escapes_that_do_not_spell_utf8_are_refused: [
        "/%ff", "/%c0%af", "/%C0%AE%C0%AE/x", "/%ed%a0%80", "/%e2%82", "/%f5%80%80%80", "/%80",
        "/%c3", "/%c3/%a9", "/%c3x%a9", "/%f4%90%80%80",
    ] => NonUtf8;
    a17_characters_that_must_be_escaped_are_refused: [
        "/\"", "/<", "/>", "/^", "/{", "/}", "/|", "/`", "/a b", "/[", "/]", "/a/{id}",
    ] => RawCharacter;
    a18_fragments_are_refused: [
        "/public/x#/../admin", "/x#", "/#", "/a#b?c", "/a?b#c", "/a?b?c#",
    ] => Fragment;
    the_first_fault_from_the_left_is_told: ["/a%2f/../b;c", "/a%2f%00"] => EncodedSlash;
    what_cannot_stand_in_a_query_is_refused: ["/a?b c", "/a?\"", "/a?<", "/a?>"] => RawCharacter;
    controls_in_a_query_are_refused: ["/a?\0", "/a?b\r\nX: y", "/a?\u{7f}"] => Control;
}

#[test]
fn a10_every_raw_control_is_refused() {
    for byte in (0..=0x1f).chain([0x7f]) {
        let byte = char::from(byte);
        check(&format!("/v1/{byte}items"), &[], Err(Control));
    }
    check("/v1/ items", &[], Err(RawCharacter));
}

/// `name: ["sent" => "forwarded"]` — accepted although nothing is allowed.
macro_rules! accepted {
    ($($name:ident: [$($text:expr => $forwarded:expr),+ $(,)?];)+) => {
        $(#[test] fn $name() { $(check($text, &[], Ok($forwarded));)+ })+
    };
}

accepted! {
    a07_a_trailing_slash_is_kept: ["/v1/items/" => "/v1/items/", "/" => "/"];
    a14_escapes_that_spell_utf8_are_kept_in_upper_case: [
        "/caf%C3%A9" => "/caf%C3%A9", "/caf%c3%a9" => "/caf%C3%A9", "/%e2%82%ac" => "/%E2%82%AC",
        "/%f0%9f%98%80x" => "/%F0%9F%98%80x",
    ];
    a15_escaped_unreserved_characters_are_decoded: [
        "/%61dmin/x" => "/admin/x", "/v1/%69tems" => "/v1/items", "/%7euser" => "/~user",
        "/%41%5a%30%39%2d%5F" => "/AZ09-_", "/a%2eb" => "/a.b", "/%2e%2e%2e" => "/...",
    ];
    a16_the_escapes_that_remain_are_in_upper_case: [
        "/v1/items/a%3ab" => "/v1/items/a%3Ab", "/%20%2b%2C" => "/%20%2B%2C",
    ];
    a20_the_query_takes_no_part: [
        "/admin/x?y=/public/z" => "/admin/x?y=/public/z", "/x?a=../" => "/x?a=../",
        "/admin/x?" => "/admin/x?", "/x?a;b\\c%2f%zz%00//" => "/x?a;b\\c%2f%zz%00//",
    ];
    a21_the_query_is_kept_byte_for_byte: [
        "/x?a=1+2%20%2f&a=&&=?/" => "/x?a=1+2%20%2f&a=&&=?/", "/%61?%61=%c3" => "/a?%61=%c3",
        "/x??" => "/x??", "/x?é" => "/x?é", "/x?[a]={b}|^`" => "/x?[a]={b}|^`",
    ];
    a22_a_star_is_a_value: ["/v1/items/*" => "/v1/items/*", "/**" => "/**"];
    a23_punctuation_is_itself: ["/a.b+(c)$/d" => "/a.b+(c)$/d", "/!$&'()*+,=:@~-_" => "/!$&'()*+,=:@~-_"];
    dots_inside_a_name_are_no_dot_segment: [
        "/.well-known/jwks.json" => "/.well-known/jwks.json", "/..." => "/...", "/a../b" => "/a../b",
        "/..a" => "/..a", "/a." => "/a.",
    ];
}

/// `name: Class ["sent" => "forwarded"]` — the twins of the refusals: the class is all that changes.
macro_rules! allowed {
    ($($name:ident: [$($class:expr),+] [$($text:expr => $forwarded:expr),+ $(,)?];)+) => {
        $(#[test] fn $name() {
            let allowed = [$($class),+];
            $(
                check($text, &allowed, Ok($forwarded));
                let target = Target::from_text($text, set(&allowed)).unwrap();
                assert_eq!(target.classes(), set(&allowed), "`{}` shows what was allowed", $text);
            )+
        })+
    };
}

allowed! {
    a03_escaped_percent_may_pass: [EncodedPercent] [
        "/100%25" => "/100%25", "/%252e%252e" => "/%252e%252e", "/%2561" => "/%2561",
    ];
    a03_escaped_delimiters_may_pass: [EncodedDelimiter] ["/a%3fb" => "/a%3Fb", "/a%23b" => "/a%23b"];
    a04_escaped_slashes_may_pass: [EncodedSlash] [
        "/v1/items/a%2fb" => "/v1/items/a%2Fb", "/queues/%2F/get" => "/queues/%2F/get",
    ];
    a05_empty_segments_may_pass: [EmptySegment] [
        "//admin/x" => "//admin/x", "/v1//items" => "/v1//items", "/v1/items//" => "/v1/items//",
    ];
    a08_path_parameters_may_pass: [Semicolon] [
        "/admin;x=y/z" => "/admin;x=y/z", "/admin%3bx" => "/admin%3Bx", "/app/;id=1" => "/app/;id=1",
    ];
    a08_parameters_without_a_name_are_an_empty_segment: [Semicolon, EmptySegment] [
        "/a/;x/b" => "/a/;x/b",
    ];
    a09_backslashes_may_pass: [Backslash] ["/a%5cb" => "/a%5Cb", "/a\\b" => "/a\\b"];
    a14_other_encodings_may_pass: [NonUtf8] ["/%ff" => "/%FF", "/caf%e9/x" => "/caf%E9/x"];
    several_classes_may_pass: [EncodedSlash, Semicolon] ["/a%2fb;c" => "/a%2Fb;c"];
}

#[test]
fn no_reader_climbs_whatever_is_allowed() {
    let all = &listable();
    for text in [
        "/a/..%2Fadmin",
        "/a%2F..%2Fadmin",
        "/a%2F..",
        "/a/..;/admin",
        "/a/..;",
        "/a/.%2e%3bx/admin",
        "/a\\..\\admin",
        "/a/..%5Cadmin",
        "/a/..%3Fx",
        "/a/..%23",
        "/a/%2E%3b/b",
    ] {
        check(text, all, Err(DotSegment));
    }
}

/// Everything that a file may allow.
fn listable() -> Vec<PathClass> {
    let classes = PathClass::ALL.iter().copied();
    let listable = |class: &PathClass| class.allowable() != crate::words::Allowable::Never;
    classes.filter(listable).collect()
}

#[test]
fn dots_are_read_and_shown_where_shadow_asks_for_them() {
    let read = Target::from_text("/a/%2e./%61dmin", ClassSet::EMPTY.with(DotSegment)).unwrap();
    assert_eq!(read.path(), "/a/../admin");
    assert_eq!(read.classes(), ClassSet::EMPTY.with(DotSegment));
}

#[test]
fn what_nobody_may_allow_is_refused_even_if_somebody_does() {
    check("/a/../b", &listable(), Err(DotSegment));
    let rows = [
        ("/a#b", Fragment),
        ("/a|b", RawCharacter),
        ("/%%34%31", BadEscape),
        ("/%00", Control),
    ];
    for (text, class) in rows {
        check(text, PathClass::ALL, Err(class));
    }
}

#[test]
fn a39_a_parameter_of_16_kib_is_one_segment() {
    let path = format!("/v1/items/{}", "a".repeat(16 * 1024));
    check(&path, &[], Ok(&path));
}

#[test]
fn a41_what_cannot_be_represented_is_refused_and_what_can_is_not() {
    let longest = format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1));
    check(&longest, &[], Ok(&longest));
    let longer = Target::from_text(&format!("{longest}a"), ClassSet::EMPTY);
    assert_eq!(longer, Err(TargetError::TooLong(TARGET_BYTES_MAX + 1)));
}

#[test]
fn what_is_not_a_path_is_told_apart() {
    for text in ["", "*", "admin", "?x", "http://a/b", "#", " /a"] {
        let fault = Target::from_text(text, ClassSet::EMPTY).unwrap_err();
        assert_eq!(fault, TargetError::NotAPath(text.to_owned()));
    }
    let star = Target::parse(&PathAndQuery::from_static("*"), ClassSet::EMPTY);
    assert_eq!(star.unwrap_err().class, RawCharacter);
}

#[test]
fn a25_no_path_is_the_root() {
    for (uri, forwarded) in [
        ("http://host", "/"),
        ("http://host?a=b", "/?a=b"),
        ("http://host?", "/?"),
    ] {
        let uri: http::Uri = uri.parse().unwrap();
        let target = Target::parse(uri.path_and_query().unwrap(), ClassSet::EMPTY).unwrap();
        assert_eq!(target.path(), "/");
        assert_eq!(target.path_and_query().as_str(), forwarded);
    }
    let longest = format!("?{}", "a".repeat(TARGET_BYTES_MAX - 1));
    let raw = PathAndQuery::try_from(longest).unwrap();
    assert!(Target::parse(&raw, ClassSet::EMPTY).is_err());
}

#[test]
fn a_canonical_path_is_not_copied() {
    let raw = PathAndQuery::try_from("/v1/caf%C3%A9/x;y?z").unwrap();
    let target = Target::parse(&raw, set(&[Semicolon])).unwrap();
    assert_eq!(
        target.path_and_query().as_str().as_ptr(),
        raw.as_str().as_ptr()
    );
}

#[test]
fn path_and_query_are_told_apart() {
    let target = Target::from_text("/%61/b?c=/d?e", ClassSet::EMPTY).unwrap();
    assert_eq!((target.path(), target.query()), ("/a/b", Some("c=/d?e")));
    let target = Target::from_text("/a", ClassSet::EMPTY).unwrap();
    assert_eq!((target.path(), target.query()), ("/a", None));
}

#[test]
fn a_refusal_says_what_to_do() {
    let fault = Target::from_text("/a/../b", ClassSet::EMPTY).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the path can be read two ways, `dot_segment`: `.` or `..` is a segment: \
         send the path it leads to"
    );
    let fault = Target::from_text("admin", ClassSet::EMPTY).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`admin` is not a path: expected one that starts with `/`, such as `/v1/items?page=2`"
    );
}
