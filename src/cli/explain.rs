//! `portcullis can-i` and `portcullis explain`: the answer a request would get, from the function
//! that gives it to real ones.

use clap::Args;
use serde_json::Value;

use super::arguments::Hypothesis;
use super::output::{BAD, Format, GOOD, ODD, STRONG, styled};
use super::table::{View, printable};
use super::transport::Operation;
use super::{Context, Exit, Failure};

const VIEW: View = View {
    plural: "answers",
    name: "decision",
    columns: &[],
};

/// A question that is answered yes or no.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis can-i GET /v1/tenants/acme/devices --as ci
  portcullis can-i DELETE /v1/tenants/acme/devices/7 --as ci --from 10.1.2.3
  portcullis can-i -q GET /v1/devices --as ci && echo allowed")]
pub(super) struct CanI {
    #[command(flatten)]
    request: Hypothesis,
}

/// A question that is answered step by step.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis explain GET /v1/tenants/acme/devices --as ci
  portcullis explain GET '/v1/search?tenants=acme,globex' --as ci --header 'X-Site: 7'")]
pub(super) struct Explain {
    #[command(flatten)]
    request: Hypothesis,
}

impl From<Hypothesis> for Operation {
    fn from(request: Hypothesis) -> Self {
        Self::Explain {
            method: request.method,
            target: request.path,
            account: request.account,
            host: request.host,
            from: request.from,
            headers: request.headers,
        }
    }
}

/// Prints `yes` or `no: reason: sentence`.
pub(super) fn can_i(question: CanI, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(question.request.into())?;
    let exit = exit_of(&answer);
    if context.output.is_quiet() {
        return Ok(exit);
    }
    if context.output.format() == Format::Table {
        let line = verdict(&answer);
        context.output.data(line + "\n")?;
    } else {
        context.output.answer(&answer, &VIEW)?;
    }
    Ok(exit)
}

/// Prints every step.
pub(super) fn run(question: Explain, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(question.request.into())?;
    let exit = exit_of(&answer);
    if context.output.format() == Format::Table {
        let told = tell(&answer);
        context.output.data(told)?;
    } else {
        context.output.answer(&answer, &VIEW)?;
    }
    Ok(exit)
}

fn exit_of(answer: &Value) -> Exit {
    match answer.get("allowed").and_then(Value::as_bool) {
        Some(true) => Exit::Ok,
        Some(false) | None => Exit::No,
    }
}

fn text<'v>(answer: &'v Value, field: &str) -> Option<&'v str> {
    answer.get(field).and_then(Value::as_str)
}

/// `yes`, or `no: reason: sentence`.
fn verdict(answer: &Value) -> String {
    let shadowed = match answer.get("shadow").and_then(Value::as_bool) {
        Some(true) => styled(ODD, " (shadow: it would be forwarded all the same)"),
        Some(false) | None => String::new(),
    };
    if exit_of(answer) == Exit::Ok {
        return styled(GOOD, "yes") + &shadowed;
    }
    let reason = text(answer, "reason").unwrap_or("refused");
    let sentence = text(answer, "detail").unwrap_or_default();
    let no = styled(BAD, "no:");
    format!("{no} {reason}: {}{shadowed}", printable(sentence))
}

/// The steps, the verdict, and what would turn it.
fn tell(answer: &Value) -> String {
    let list = |field: &str| {
        answer
            .get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut told = String::new();
    for step in list("steps") {
        let name = text(step, "step").unwrap_or_default();
        let finding = text(step, "finding").unwrap_or_default();
        told += &format!(
            "{} {}\n",
            styled(STRONG, format_args!("{name:<12}")),
            printable(finding)
        );
    }
    told += &format!("\n{}\n", verdict(answer));
    let mut remedies = list("remedies").filter_map(Value::as_str).peekable();
    if remedies.peek().is_some() {
        told += "\nWhat would allow it:\n";
        told.extend(remedies.map(|remedy| format!("  {}\n", printable(remedy))));
    }
    told
}
