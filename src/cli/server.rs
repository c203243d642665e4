//! `portcullis status`, `reload` and `drain`: the running server itself.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::lists::{self, Watch};
use super::table::View;
use super::transport::{Operation, Reach};
use super::{Context, Exit, Failure};
use crate::admin::control::Client;

/// What the end of a drained gateway may take: its log, its store.
const END_GRACE: Duration = Duration::from_secs(5);
/// How often to look whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What a server says of itself: one thing, a field a line.
pub(super) const VIEW: View = View {
    plural: "servers",
    name: "instance",
    columns: &[],
};

/// Prints how the gateway is. Without a server the store is still told of, and the exit code says
/// that nobody serves.
pub(super) fn status(Watch { watch }: Watch, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if watch {
        return lists::watch(|_| Operation::Status {}, &VIEW, context);
    }
    let answer = context.ask(Operation::Status {})?;
    context.output.answer(&answer, &VIEW)?;
    let runs = answer.get("running").and_then(Value::as_bool) != Some(false);
    Ok(if runs { Exit::Ok } else { Exit::Server })
}

/// Asks the gateway to drain and waits until it has ended, so that what comes after this command
/// (a new server, the end of a pod) finds it gone.
pub(super) fn drain(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let answer = reach.ask(Operation::Drain {})?;
    let settings = match &*reach {
        Reach::Machine(settings) => settings,
        // It is asked for on the machine of the server alone, and was refused.
        Reach::Server(_) => return Ok(Exit::Ok),
    };
    let patience = settings.drain.delay + settings.drain.timeout + END_GRACE;
    let asked = Instant::now();
    while Client::find(settings)?.is_some() {
        if asked.elapsed() > patience {
            return Err(Failure::server("the gateway is still there: see its log"));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    context.output.answer(&answer, &VIEW)?;
    Ok(Exit::Ok)
}
