//! How a path begins: enough to see what is missing in the table of routes, and few enough to count.

/// How many segments are told apart.
const SEGMENTS_MAX: usize = 2;
/// Longest segment that is told, in bytes.
const SEGMENT_BYTES_MAX: usize = 64;
/// From this length on a segment with digits in it is taken for an id, in bytes.
const ID_BYTES_LEAST: usize = 16;
/// What stands for a segment that differs from request to request, and for what follows.
const DIFFERS: &str = "…";

/// All paths.
pub(super) const ANY: &str = "/…";

/// How `path` begins, such as `/v1/items/…`; nothing of what is no path.
pub(super) fn of(path: &str) -> Option<String> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let mut told = String::new();
    for segment in segments.by_ref().take(SEGMENTS_MAX) {
        told.push('/');
        told.push_str(if differs(segment) { DIFFERS } else { segment });
    }
    if segments.next().is_some() {
        told.push_str(ANY);
    }
    Some(told)
}

/// Whether a segment is one of many that mean the same.
fn differs(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_number = digits > 0 && digits == segment.len();
    let is_id = digits > 0 && segment.len() >= ID_BYTES_LEAST;
    is_number || is_id || segment.len() > SEGMENT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_is_told_by_how_it_begins() {
        for (path, head) in [
            ("/", Some("/")),
            ("/favicon.ico", Some("/favicon.ico")),
            ("/v1/items", Some("/v1/items")),
            ("/v1/items/", Some("/v1/items/…")),
            ("/v1/items/7/parts", Some("/v1/items/…")),
            ("/items/7", Some("/items/…")),
            ("/019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70/x", Some("/…/x")),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(super::of(path).as_deref(), head, "{path}");
        }
    }
}
