//! `portcullis status`, `reload` and `drain`: the running server itself.

use serde_json::Value;

use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};

/// What a server says of itself: one thing, a field a line.
pub(super) const VIEW: View = View {
    plural: "servers",
    name: "instance",
    columns: &[],
};

/// Prints how the gateway is. Without a server the store is still told of, and the exit code says
/// that nobody serves.
pub(super) fn status(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(Operation::Status {})?;
    context.output.answer(&answer, &VIEW)?;
    let runs = answer.get("running").and_then(Value::as_bool) != Some(false);
    Ok(if runs { Exit::Ok } else { Exit::Server })
}
