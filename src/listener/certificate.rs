//! Until when a certificate is good.
//!
//! Of a certificate of our own, which the TLS library has accepted already: just enough of its DER
//! is walked to come to the one field the library does not tell.

use std::time::{Duration, SystemTime};

/// Tags of DER (X.690 §8): the ones on the way.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the certificate runs out, in time since 1970; nothing if that cannot be read.
pub(super) fn not_after(der: &[u8]) -> Option<Duration> {
    let (_, certificate, _) = element(der)?;
    let (_, mut fields, _) = element(certificate)?;
    // RFC 5280 §4.1: version, serial number, signature, issuer, and then the validity.
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (SEQUENCE, validity, _) = element(fields)? else {
        return None;
    };
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The tag of the first element, what is in it, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let length = if *first < 0x80 {
        usize::from(*first)
    } else {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        rest = after;
        let grow = |length: usize, byte: &u8| length.checked_mul(256)?.checked_add((*byte).into());
        bytes.iter().try_fold(0, grow)?
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((*tag, content, after))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<Duration> {
    let full = match tag {
        // RFC 5280 §4.1.2.5.1: from 50 on, the last century.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to);
    let [year, month, day] = [part(0, 4)?, part(4, 6)?, part(6, 8)?];
    let [hour, minute, second] = [part(8, 10)?, part(10, 12)?, part(12, 14)?];
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let time = humantime::parse_rfc3339(&text).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_ways_of_writing_time() {
        for (year, expected) in [
            (2030, 1_893_456_000),
            (2049, 2_493_072_000),
            (2050, 2_524_608_000),
        ] {
            let mut params = CertificateParams::new(vec!["gate.test".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let end = not_after(certificate.der()).unwrap();
            assert_eq!(end.as_secs(), expected, "{year}");
            for length in 0..certificate.der().len() {
                // Not whole: nothing, and no panic.
                let _ = not_after(certificate.der().get(..length).unwrap());
            }
        }
        assert_eq!(not_after(b""), None);
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
