//! Keys and secrets are read by one rule, computed here a second time (E13). The input is a text that
//! may be either, and the random part of a good one.

use portcullis::words::{AccountId, FOREIGN_SECRET_BYTES_MAX, KeyId, Secret, SecretDigest};

/// Base62, as the checksum is written.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        any_text(text);
    }
    made(data, "pck_", 22);
    made(data, "pcs_", 43);
}

fn any_text(text: &str) {
    let id = text.parse::<KeyId>();
    assert_eq!(id.is_ok(), is_good(text, "pck_", 22), "`{text}`");
    if let Ok(id) = id {
        assert_eq!(id.as_str(), text);
        assert_eq!(id.to_string(), text);
    }
    let secret = Secret::parse(text);
    let is_foreign = !text.starts_with("pcs_")
        && (1..=FOREIGN_SECRET_BYTES_MAX).contains(&text.len())
        && !text.chars().any(char::is_control);
    let is_read = is_good(text, "pcs_", 43) || is_foreign;
    assert_eq!(secret.is_ok(), is_read, "`{text}`");
    if let Ok(secret) = secret {
        assert_eq!(secret.reveal(), text);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
    if let Ok(digest) = text.parse::<SecretDigest>() {
        assert_eq!(digest.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(id) = text.parse::<AccountId>() {
        assert_eq!(id.as_str(), text);
    }
}

/// What is made by the rule is read; one character more, less or other is not.
fn made(data: &[u8], prefix: &str, random: usize) {
    let text = with_checksum(prefix, data, random);
    let reads = |text: &str| match prefix {
        "pck_" => text.parse::<KeyId>().is_ok(),
        // Without its prefix it is a text like any other.
        _ => Secret::parse(text).is_ok() && text.starts_with(prefix),
    };
    assert!(reads(&text), "`{text}`");
    assert!(!reads(&format!("{text}0")), "`{text}`");
    assert!(!reads(text.split_at(1).1), "`{text}`");
    let place = usize::from(*data.first().unwrap_or(&0)) % text.len();
    let mut other = text.clone().into_bytes();
    other[place] = if other[place] == b'0' { b'1' } else { b'0' };
    let other = String::from_utf8(other).expect("letters and digits");
    assert!(!reads(&other), "`{other}` for `{text}`");
}

/// A text of the form, whose random part is taken from `data`.
pub(super) fn with_checksum(prefix: &str, data: &[u8], random: usize) -> String {
    let digit = |byte: &u8| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]);
    let body: String = data.iter().map(digit).collect();
    let body: String = body
        .chars()
        .chain("0".repeat(random).chars())
        .take(random)
        .collect();
    let body = format!("{prefix}{body}");
    let sum = checksum(&body);
    body + &sum
}

fn is_good(text: &str, prefix: &str, random: usize) -> bool {
    let length = prefix.len() + random;
    let Some((body, sum)) = text.split_at_checked(length) else {
        return false;
    };
    sum.len() == 6
        && text.starts_with(prefix)
        && text
            .bytes()
            .skip(prefix.len())
            .all(|byte| byte.is_ascii_alphanumeric())
        && checksum(body) == sum
}

/// CRC-32 bit by bit, in six digits.
fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut left = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[left as usize % DIGITS.len()];
        left /= 62;
    }
    digits.map(char::from).iter().collect()
}
