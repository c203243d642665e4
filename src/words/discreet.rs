//! Texts of clients without what opens a door: in logs, lists and tables.
//!
//! A secret is looked for as whoever reads the text could take it: escapes are read first, and
//! escapes of escapes, because a client that puts a token into a path escapes it there.

use std::borrow::Cow;

/// How often escapes are read: an escape of an escape of an escape is nobody's habit.
const READINGS_MAX: usize = 3;
/// How the secret of a key begins.
const SECRET: &[u8] = b"pcs_";
/// How a token begins: it is JSON in base64, and `{"` is that.
const TOKEN: &[u8] = b"eyJ";
/// What stands for that which is left out.
const GONE: &str = "…";

/// A byte as it is read, and where it stands.
#[derive(Clone, Copy)]
struct Read {
    byte: u8,
    begin: usize,
    end: usize,
}

/// `bytes` without what follows `pcs_`, and without what looks like a token, in whatever spelling.
pub fn discreet(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Most texts have none of these, which is seen many bytes at a time.
    if memchr::memchr3(b'%', b'_', b'J', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let escaped = bytes.contains(&b'%');
    if !escaped && find(bytes, SECRET).or(find(bytes, TOKEN)).is_none() {
        return Cow::Borrowed(bytes);
    }
    let read = read(bytes);
    let mut clean = Vec::new();
    let mut done = 0;
    let is_between = |read: &Read| !is_in_word(read.byte);
    for word in read.split(is_between) {
        let Some(shown) = shown(word) else { continue };
        let (Some(last), Some(end)) = (word.get(shown.wrapping_sub(1)), word.last()) else {
            continue;
        };
        clean.extend_from_slice(bytes.get(done..last.end).unwrap_or_default());
        clean.extend_from_slice(GONE.as_bytes());
        done = end.end;
    }
    if done == 0 {
        return Cow::Borrowed(bytes);
    }
    clean.extend_from_slice(bytes.get(done..).unwrap_or_default());
    Cow::Owned(clean)
}

/// As [`discreet`], of a text.
pub fn without_secrets(text: &str) -> String {
    String::from_utf8_lossy(&discreet(text.as_bytes())).into_owned()
}

/// How much of a word may be shown, if not all of it.
fn shown(word: &[Read]) -> Option<usize> {
    let plain: Vec<u8> = word.iter().map(|read| read.byte).collect();
    let secret = find(&plain, SECRET).map(|place| place + SECRET.len());
    let token = find(&plain, TOKEN).filter(|place| {
        let rest = plain.get(*place..).unwrap_or_default();
        rest.iter().filter(|byte| **byte == b'.').count() >= 2
    });
    let token = token.map(|place| place + TOKEN.len());
    secret.into_iter().chain(token).min()
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// The text behind its escapes.
fn read(bytes: &[u8]) -> Vec<Read> {
    let each = bytes.iter().enumerate();
    let mut read: Vec<_> = each
        .map(|(begin, byte)| Read {
            byte: *byte,
            begin,
            end: begin + 1,
        })
        .collect();
    for _ in 0..READINGS_MAX {
        let next = unescaped(&read);
        if next.len() == read.len() {
            break;
        }
        read = next;
    }
    read
}

fn unescaped(read: &[Read]) -> Vec<Read> {
    let digit = |read: &Read| char::from(read.byte).to_digit(16);
    let mut plain = Vec::with_capacity(read.len());
    let mut rest = read;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let escape = match behind {
            [high, low, ..] if first.byte == b'%' => {
                digit(high).zip(digit(low)).map(|it| (it, low))
            }
            _ => None,
        };
        let Some(((high, low), last)) = escape else {
            plain.push(*first);
            continue;
        };
        plain.push(Read {
            byte: u8::try_from(high * 16 + low).unwrap_or_default(),
            begin: first.begin,
            end: last.end,
        });
        rest = behind.get(2..).unwrap_or_default();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_left_out_in_whatever_spelling() {
        for (sent, kept) in [
            ("/v1/items/7", "/v1/items/7"),
            ("/a_b/J%20c", "/a_b/J%20c"),
            ("/a/pcs_0123abcDEF/b", "/a/pcs_…/b"),
            ("x-pcs_0123, y", "x-pcs_…, y"),
            ("/p%63s_0123/b", "/p%63s_…/b"),
            ("/p%2563s%5F0123/b", "/p%2563s%5F…/b"),
            ("/%70%63%73%5f%30%31%32", "/%70%63%73%5f…"),
            ("/t/eyJhbGciOi.eyJzdWIi.c2ln/x", "/t/eyJ…/x"),
            ("/access_eyJhbGciOi.eyJzdWIi.c2ln", "/access_eyJ…"),
            (
                "/x%3Ft%3DeyJhbGciOi%2EeyJzdWIi%2Ec2ln%26y",
                "/x%3Ft%3DeyJ…%26y",
            ),
            ("eyJh.a.b.c.d", "eyJ…"),
            ("/eyJhbG/x", "/eyJhbG/x"),
            ("/eyJ_a.tar/x.y.z", "/eyJ_a.tar/x.y.z"),
            ("pcs_", "pcs_…"),
            ("100%", "100%"),
        ] {
            let clean = discreet(sent.as_bytes());
            assert_eq!(String::from_utf8_lossy(&clean), kept, "{sent}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_as_they_were() {
        let sent = b"\xff/%ff_pcs_x\xfe";
        assert_eq!(&*discreet(sent), b"\xff/%ff_pcs_\xe2\x80\xa6\xfe");
    }
}
