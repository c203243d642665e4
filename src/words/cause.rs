//! What is known of a failure besides its reason.

/// Longest text of a cause, in bytes: some of it is the other end's own words.
const WHAT_BYTES_MAX: usize = 300;

/// What is known of a failure behind a decision, in words: for whoever operates the gateway. No
/// caller is told where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where it failed, such as `10.0.0.7:8080`; none where it did not come to that.
    pub address: Option<String>,
    /// What went wrong.
    pub what: String,
}

impl Cause {
    /// What went wrong, and where. What is too long is cut.
    pub fn new(address: Option<String>, mut what: String) -> Self {
        if what.len() > WHAT_BYTES_MAX {
            what.truncate(what.floor_char_boundary(WHAT_BYTES_MAX));
            what.push('…');
        }
        Self { address, what }
    }
}
