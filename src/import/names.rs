//! Names of ours from words of theirs.
//!
//! The same word gives the same name wherever and whenever it is met: a document that is imported again
//! must not rename what roles and people rely on.

use sha2::{Digest, Sha256};

use crate::words::Permission;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Hexadecimal digits that tell apart what is cut or cannot be written: one in four billion is alike.
const MARK_DIGITS: usize = 8;

/// A name made from any text: lower case, `-` for what a name cannot hold. Text that leaves nothing or
/// does not fit ends in a mark of its own, so that two such texts stay two names.
pub fn word_of(text: &str) -> String {
    let mut word = String::new();
    let mut before: Option<char> = None;
    for character in text.chars() {
        let starts_word = character.is_ascii_uppercase()
            && before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let next = match character.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | '_') => c,
            _ => '-',
        };
        if starts_word || next == '-' {
            push_dash(&mut word);
        }
        if next != '-' {
            word.push(next);
        }
        before = Some(character);
    }
    let word = word.trim_matches(['-', '.', '_']);
    let lost = text
        .chars()
        .filter(|c| !c.is_ascii() && c.is_alphanumeric());
    if lost.count() == 0 && (1..=NAME_BYTES_MAX).contains(&word.len()) {
        return word.to_owned();
    }
    let kept: String = word
        .chars()
        .take(NAME_BYTES_MAX - MARK_DIGITS - 1)
        .collect();
    let kept = if kept.is_empty() {
        "x"
    } else {
        kept.trim_end_matches(['-', '.', '_'])
    };
    format!("{kept}-{}", mark(text))
}

fn push_dash(word: &mut String) {
    if !word.is_empty() && !word.ends_with('-') {
        word.push('-');
    }
}

fn mark(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().take(MARK_DIGITS / 2);
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// `resource:action`, from any two texts. The gateway's own resources are not given away.
///
/// # Panics
///
/// Never: what [`word_of`] gives is a name.
pub fn permission_of(resource: &str, action: &str) -> Permission {
    let mut resource = word_of(resource);
    if resource == "portcullis" || resource.starts_with("portcullis.") {
        resource = word_of(&format!("api-{resource}"));
    }
    let name = format!("{resource}:{}", word_of(action));
    name.parse().expect("`word_of` gives names only")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::words::RoleName;

    #[test]
    fn a_word_stays_what_it_says() {
        for (text, word) in [
            ("issues", "issues"),
            ("Pull Requests", "pull-requests"),
            ("listUsers", "list-users"),
            ("DNS Records", "dns-records"),
            ("OAuth2Tokens", "oauth2-tokens"),
            ("a/b//c", "a-b-c"),
            ("okta.groups", "okta.groups"),
            ("-x-", "x"),
            ("", "x-e3b0c442"),
        ] {
            assert_eq!(word_of(text), word, "{text}");
        }
        assert_ne!(word_of("用户"), word_of("订单"));
        assert_ne!(word_of(&"a".repeat(70)), word_of(&"a".repeat(71)));
    }

    #[test]
    fn what_is_the_gateways_stays_its_own() {
        let of = |resource| permission_of(resource, "view").to_string();
        assert_eq!(of("Portcullis"), "api-portcullis:view");
        assert_eq!(of("portcullis.keys"), "api-portcullis.keys:view");
        assert_eq!(of("portcullises"), "portcullises:view");
    }

    proptest! {
        #[test]
        fn any_text_makes_a_name(text in any::<String>(), other in any::<String>()) {
            let word = word_of(&text);
            prop_assert!(word.parse::<RoleName>().is_ok(), "{word}");
            permission_of(&text, &other);
        }
    }
}
