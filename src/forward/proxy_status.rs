//! `Proxy-Status` of an upstream (RFC 9209): proxies on the way to it may say what became of a request,
//! and nobody but us may say so in our name.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What every proxy on the way may add a member to.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// Who we are there.
const OURS: &[u8] = b"portcullis";

/// Removes what is said in our name.
pub(super) fn strip(headers: &mut HeaderMap) {
    if !headers.contains_key(PROXY_STATUS) {
        return;
    }
    let values = headers.get_all(PROXY_STATUS).iter();
    let kept: Vec<_> = values.filter_map(without_ours).collect();
    headers.remove(PROXY_STATUS);
    for value in kept {
        headers.append(PROXY_STATUS, value);
    }
}

/// The members of a line that are not ours; nothing of one whose members nobody can tell apart.
fn without_ours(line: &HeaderValue) -> Option<HeaderValue> {
    let members = members(line.as_bytes())?;
    let kept: Vec<_> = members.into_iter().filter(|one| !is_ours(one)).collect();
    HeaderValue::from_bytes(&kept.join(b", ".as_slice()))
        .ok()
        .filter(|value| !value.is_empty())
}

/// The parts between commas that stand in no text.
fn members(line: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let is_comma = |byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    };
    let parts = line.split(is_comma).map(<[u8]>::trim_ascii);
    let members = parts.filter(|part| !part.is_empty()).collect();
    (!quoted).then_some(members)
}

/// Whether a member has our name, as a word or as a text, in whatever case.
fn is_ours(member: &[u8]) -> bool {
    let name = member.split(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let name = name
        .map(|name| name.trim_ascii())
        .next()
        .unwrap_or_default();
    let text = name.strip_prefix(b"\"".as_slice());
    let text = text.and_then(|text| text.strip_suffix(b"\"".as_slice()));
    text.unwrap_or(name).eq_ignore_ascii_case(OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_speaks_in_our_name_and_others_speak_for_themselves() {
        for (lines, expected) in [
            (&["cdn; hit"][..], &["cdn; hit"][..]),
            (&["portcullis"], &[]),
            (&["portcullis; error=http_request_denied"], &[]),
            (&["Portcullis;error=x, cdn"], &["cdn"]),
            (&["\"portcullis\"; error=x , cdn; hit"], &["cdn; hit"]),
            (
                &["cdn; details=\"a, portcullis; b\", portcullis"],
                &["cdn; details=\"a, portcullis; b\""],
            ),
            (
                &["cdn; details=\"a\\\", portcullis\""],
                &["cdn; details=\"a\\\", portcullis\""],
            ),
            (&["cdn; details=\"a", "portcullis; details=\"b"], &[]),
            (
                &["portcullis2; hit, my.portcullis", "portcullis"],
                &["portcullis2; hit, my.portcullis"],
            ),
            (&["", ", ,"], &[]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(PROXY_STATUS, HeaderValue::from_static(line));
            }
            strip(&mut headers);
            let left: Vec<_> = headers.get_all(PROXY_STATUS).iter().collect();
            assert_eq!(left, expected, "{lines:?}");
        }
    }
}
