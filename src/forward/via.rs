//! `Via`: who has handled a request, and whether it goes in circles.
//!
//! Every gateway process has a name of its own, made at random when it starts, so that a request
//! that meets it again is told from one that passes through another gateway on purpose.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

use crate::head::tokens;
use crate::reason::Reason;

/// Most hops a request may have behind it: a real path has a handful.
const HOPS_MAX: usize = 30;

/// What this process writes into `Via`.
#[derive(Clone, Debug)]
pub(super) struct Via {
    /// How it is found again in a list of others.
    name: Box<str>,
    http_10: HeaderValue,
    http_11: HeaderValue,
    http_2: HeaderValue,
}

impl Via {
    /// A name nobody else has.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub(super) fn random() -> Self {
        let number = getrandom::u64().expect("the operating system gives random bytes");
        let name = format!("portcullis-{number:016x}");
        let value = |version: &str| {
            let text = format!("{version} {name}");
            HeaderValue::from_str(&text).expect("made of letters, digits and hyphens")
        };
        Self {
            http_10: value("1.0"),
            http_11: value("1.1"),
            http_2: value("2"),
            name: name.into(),
        }
    }

    /// What we add to the hops of a request that came in as `version`.
    ///
    /// # Errors
    ///
    /// `loop_detected` when the request has been here before, or anywhere too often.
    pub(super) fn hop(
        &self,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<&HeaderValue, Reason> {
        let mut hops = 0;
        for hop in headers.get_all(VIA).iter().flat_map(tokens) {
            hops += 1;
            // `1.1 name`, perhaps with a comment behind it.
            let by = hop.split(u8::is_ascii_whitespace).nth(1);
            if hops >= HOPS_MAX || by == Some(self.name.as_bytes()) {
                return Err(Reason::LoopDetected);
            }
        }
        Ok(match version {
            Version::HTTP_10 => &self.http_10,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_11,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let line = |text: &&str| (VIA, HeaderValue::from_str(text).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    /// B43.
    #[test]
    fn who_was_here_before_goes_in_circles() {
        let via = Via::random();
        let mut first = headers(&["1.0 fred, 1.1 p.example.net"]);
        let own = via.hop(&first, Version::HTTP_11).unwrap().clone();
        first.append(VIA, own);
        assert_eq!(via.hop(&first, Version::HTTP_2), Err(Reason::LoopDetected));
        // Another gateway of the kind is no loop.
        let mut other = headers(&[]);
        let own = Via::random();
        other.append(VIA, own.hop(&other, Version::HTTP_10).unwrap().clone());
        assert!(via.hop(&other, Version::HTTP_11).is_ok());
    }

    /// B43.
    #[test]
    fn thirty_hops_are_a_circle() {
        let hops = |count: usize| headers(&[vec!["1.1 a"; count].join(", ").as_str()]);
        let via = Via::random();
        assert!(via.hop(&hops(29), Version::HTTP_11).is_ok());
        assert_eq!(
            via.hop(&hops(30), Version::HTTP_11),
            Err(Reason::LoopDetected)
        );
    }
}
