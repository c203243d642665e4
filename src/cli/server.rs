//! `portcullis status`, `reload` and `drain`: the running server itself.

use super::table::View;

/// What a server says of itself: one thing, a field a line.
pub(super) const VIEW: View = View {
    plural: "servers",
    name: "instance",
    columns: &[],
};
