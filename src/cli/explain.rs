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

/// `yes`, or `no: reason: sentence`; in shadow mode `yes`, and what stands against it.
fn verdict(answer: &Value) -> String {
    let allowed = exit_of(answer) == Exit::Ok;
    let against = text(answer, "reason").map(|reason| {
        let sentence = text(answer, "sentence").unwrap_or_default();
        format!("{reason}: {}", printable(sentence))
    });
    match (allowed, against) {
        (true, None) => styled(GOOD, "yes"),
        (true, Some(against)) => {
            let shadow = styled(ODD, "in shadow mode only:");
            format!("{} {shadow} {against}", styled(GOOD, "yes"))
        }
        (false, against) => {
            let against = against.unwrap_or_else(|| "the service gave no reason".to_owned());
            format!("{} {against}", styled(BAD, "no:"))
        }
    }
}

/// The steps, the verdict, and what would turn it.
fn tell(answer: &Value) -> String {
    let list = |field: &str| {
        let list = answer.get(field).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let mut told = String::new();
    for step in list("steps") {
        let passed = step.get("passed").and_then(Value::as_bool) == Some(true);
        let mark = if passed {
            styled(GOOD, "ok")
        } else {
            styled(BAD, "no")
        };
        let name = text(step, "step").unwrap_or_default();
        let found = text(step, "found").unwrap_or_default();
        let name = styled(STRONG, format_args!("{name:<10}"));
        told += &format!("{mark}  {name}  {}\n", printable(found));
    }
    told += &format!("\n{}\n", verdict(answer));
    let remedies: Vec<_> = list("remedies").filter_map(Value::as_str).collect();
    if !remedies.is_empty() {
        told += "\nWhat would allow it:\n";
        for remedy in remedies {
            told += &format!("  {}\n", printable(remedy));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_verdict_is_yes_or_no_with_the_reason() {
        for (answer, told) in [
            (json!({"allowed": true, "decision": "allow"}), "yes"),
            (
                json!({"allowed": false, "reason": "outside_boundary", "sentence": "not there"}),
                "no: outside_boundary: not there",
            ),
            (
                json!({"allowed": true, "decision": "shadow_deny", "reason": "route_missing", "sentence": "x"}),
                "yes in shadow mode only: route_missing: x",
            ),
            (json!({}), "no: the service gave no reason"),
        ] {
            assert_eq!(plain(&verdict(&answer)), told);
        }
    }

    #[test]
    fn an_explanation_is_steps_a_verdict_and_remedies() {
        let answer = json!({
            "allowed": false, "reason": "permission_missing", "sentence": "a:edit is missing",
            "steps": [
                {"step": "path", "passed": true, "found": "`/a`"},
                {"step": "permission", "passed": false, "found": "a:edit is missing"},
            ],
            "remedies": ["portcullis accounts grant ci --role editor"],
        });
        insta::assert_snapshot!(plain(&tell(&answer)), @r"
        ok  path        `/a`
        no  permission  a:edit is missing

        no: permission_missing: a:edit is missing

        What would allow it:
          portcullis accounts grant ci --role editor
        ");
    }
}
