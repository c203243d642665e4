//! Where the next page of a list begins.
//!
//! A cursor is the name of the last entry shown, in a form nobody is tempted to write himself. It
//! opens nothing: whoever sends it is shown what comes after it and what he may see.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Uri};

use super::problem::Problem;

/// The name in a cursor.
pub(super) fn read(cursor: &str) -> Result<String, Problem> {
    let name = URL_SAFE_NO_PAD.decode(cursor).ok();
    let name = name.and_then(|bytes| String::from_utf8(bytes).ok());
    let name = name.and_then(|text| text.strip_prefix('>').map(str::to_owned));
    name.ok_or_else(|| Problem::field("cursor", "`cursor` is none of ours: begin without it"))
}

/// The cursor of the page after the entry called `last`.
pub fn cursor(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(">{last}"))
}

/// The value of `Link` that leads to the page after the entry called `last`.
pub(super) fn link(uri: &Uri, last: &str, limit: usize) -> HeaderValue {
    let cursor = cursor(last);
    let mut query = form_urlencoded::Serializer::new(String::new());
    let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    for (name, value) in asked.filter(|(name, _)| name != "cursor" && name != "limit") {
        query.append_pair(&name, &value);
    }
    query.append_pair("limit", &limit.to_string());
    query.append_pair("cursor", &cursor);
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish());
    HeaderValue::from_str(&link).expect("a path and escaped words are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_on_and_a_made_up_cursor_nowhere() {
        let uri = "/api/v1/keys?account=ci&limit=5&cursor=x".parse().unwrap();
        let link = link(&uri, "pck_1", 5);
        let link = link.to_str().unwrap();
        assert_eq!(
            link,
            "</api/v1/keys?account=ci&limit=5&cursor=PnBja18x>; rel=\"next\""
        );
        assert_eq!(read("PnBja18x").unwrap(), "pck_1");
        for bad in ["", "pck_1", "!!!", "eA", "_w"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
