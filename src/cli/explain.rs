//! `portcullis can-i` and `portcullis explain`: the answer a request would get, from the function
//! that gives it to real ones; and what a refusal was about that happened.

use clap::Args;
use serde_json::Value;

use super::arguments::{Circumstances, Who, method, target};
use super::output::{BAD, Format, GOOD, ODD, STRONG, styled};
use super::table::{View, printable};
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::words::{Method, RequestId, nearest};

const VIEW: View = View {
    plural: "answers",
    name: "decision",
    columns: &[],
};

/// What an account's table looks like.
const TABLE: View = View {
    plural: "routes that it may call",
    name: "route",
    columns: &[
        ("methods", "methods"),
        ("path", "path"),
        ("within", "within"),
        ("by", "by"),
    ],
};

/// A question that is answered yes or no.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis can-i GET /v1/tenants/acme/devices --as ci
  portcullis can-i DELETE /v1/tenants/acme/devices/7 --as ci --from 10.1.2.3
  portcullis can-i -q GET /v1/devices --as ci && echo allowed
  portcullis can-i --list --as ci                                   its whole table
  portcullis can-i GET /v1/devices --role reader --policies policies/    files alone")]
pub(super) struct CanI {
    /// Method of the request, such as GET
    #[arg(value_parser = method, required_unless_present = "list")]
    method: Option<Method>,
    /// Path, with the query if there is one
    #[arg(value_parser = target, required_unless_present = "list")]
    path: Option<String>,
    /// List every route that it may call
    #[arg(long, conflicts_with_all = ["method", "path", "from", "host", "headers"])]
    list: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    circumstances: Circumstances,
}

/// A question that is answered step by step.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis explain GET /v1/tenants/acme/devices --as ci
  portcullis explain GET '/v1/search?tenants=acme,globex' --as ci --header 'X-Site: 7'
  portcullis explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70    a refusal, by its `request_id`
  portcullis explain GET /v1/devices --role reader --policies policies/    files alone")]
pub(super) struct Explain {
    /// Method of the request, such as GET; or the id of a request that was refused
    #[arg(value_name = "METHOD|REQUEST-ID", value_parser = subject)]
    subject: Subject,
    /// Path, with the query if there is one
    #[arg(value_parser = target)]
    path: Option<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    circumstances: Circumstances,
}

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
enum Subject {
    /// A request that is only thought of.
    Method(Method),
    /// One that was refused.
    Refusal(RequestId),
}

fn subject(text: &str) -> Result<Subject, String> {
    // Ids are written small by us, and in capitals by some who hand them on.
    if let Ok(id) = text.to_ascii_lowercase().parse() {
        return Ok(Subject::Refusal(id));
    }
    method(text).map(Subject::Method).map_err(|_| {
        let known = Method::ALL.iter().map(|method| method.as_str());
        let near = nearest(&text.to_ascii_uppercase(), known);
        format!(
            "that is neither a method nor the id of a request{near}. Expected `explain METHOD PATH --as \
             ACCOUNT`, or `explain REQUEST-ID` with the `request_id` of an answer, such as \
             `019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70`"
        )
    })
}

fn question(
    (method, path): (Method, String),
    who: &Who,
    circumstances: Circumstances,
    brief: bool,
) -> Result<Operation, Failure> {
    Ok(Operation::Explain {
        method,
        target: path,
        account: who.account.clone(),
        grants: who.grants()?,
        host: circumstances.host,
        from: circumstances.from,
        headers: circumstances.headers,
        brief,
    })
}

/// Prints `yes` or `no: reason: sentence`.
pub(super) fn can_i(asked: CanI, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let folder = asked.who.policies.clone();
    let (Some(method), Some(path)) = (asked.method, asked.path) else {
        let operation = Operation::AllowedList {
            account: asked.who.account.clone(),
            grants: asked.who.grants()?,
        };
        let answer = context.ask_of(folder.as_deref(), operation)?;
        context.output.answer(&answer, &TABLE)?;
        return Ok(Exit::Ok);
    };
    let operation = question((method, path), &asked.who, asked.circumstances, true)?;
    let answer = context.ask_of(folder.as_deref(), operation)?;
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
pub(super) fn run(asked: Explain, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (method, path) = match (asked.subject, asked.path) {
        (Subject::Method(method), Some(path)) => (method, path),
        (Subject::Method(method), None) => {
            return Err(Failure::usage(format_args!(
                "`explain {method}` needs a path, too: `portcullis explain {method} /v1/devices --as ACCOUNT`"
            )));
        }
        (Subject::Refusal(id), None) => return refusal(id, context),
        (Subject::Refusal(_), Some(_)) => {
            return Err(Failure::usage("a request id is enough: leave out the path"));
        }
    };
    let operation = question((method, path), &asked.who, asked.circumstances, false)?;
    let answer = context.ask_of(asked.who.policies.as_deref(), operation)?;
    let exit = exit_of(&answer);
    print(&answer, tell, context)?;
    Ok(exit)
}

fn print(
    answer: &Value,
    tell: impl FnOnce(&Value) -> String,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    if context.output.format() == Format::Table {
        context.output.data(tell(answer))
    } else {
        context.output.answer(answer, &VIEW)
    }
}

/// Prints what was refused, and what the same request would get now, which is the exit code.
fn refusal(id: RequestId, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(Operation::DenialsExplain { id })?;
    print(&answer, tell_refusal, context)?;
    Ok(exit_of(answer.get("now").unwrap_or(&Value::Null)))
}

fn tell_refusal(answer: &Value) -> String {
    let denial = answer.get("denial").unwrap_or(&Value::Null);
    let field = |name: &str| text(denial, name).unwrap_or_default();
    let who = match (field("account"), field("source")) {
        ("", source) => format!("somebody at {source}"),
        (account, source) => format!("`{account}` from {source}"),
    };
    let then = match field("decision") {
        "shadow_deny" => "would have been refused, and was forwarded (shadow)",
        "allow" => "was let through, and failed",
        _ => "was refused",
    };
    let asked = format!("{} {}", field("method"), field("path"));
    let status = denial
        .get("status")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let sentence = text(answer, "then").unwrap_or_default();
    let mut told = format!(
        "{}  {} by {who} {then}: {status} {}: {}\n",
        field("at"),
        printable(&asked),
        field("reason"),
        printable(sentence),
    );
    if let Some(key) = text(denial, "key") {
        told += &format!("key: {}\n", printable(key));
    }
    if let Some(agent) = text(denial, "user_agent") {
        told += &format!("client: {}\n", printable(agent));
    }
    if let Some(now) = answer.get("now").filter(|now| now.is_object()) {
        let changed = answer.get("changed").and_then(Value::as_bool) == Some(true);
        told += match changed {
            true => "\nNow it would be decided differently:\n",
            false => "\nNow it would be decided in the same way:\n",
        };
        told += &tell(now);
    }
    if let Some(note) = text(answer, "note") {
        told += &format!("\n{}\n", printable(note));
    }
    told
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
    let mut told = String::new();
    for step in list(answer, "steps") {
        let passed = step.get("passed").and_then(Value::as_bool) == Some(true);
        let mark = if passed {
            styled(GOOD, "ok")
        } else {
            styled(BAD, "no")
        };
        let name = text(step, "step").unwrap_or_default();
        if name == "caller" {
            // After the route, what else would match it.
            told += &beaten(answer);
        }
        let found = text(step, "found").unwrap_or_default();
        let name = styled(STRONG, format_args!("{name:<10}"));
        told += &format!("{mark}  {name}  {}\n", printable(found));
    }
    told += &format!("\n{}\n", verdict(answer));
    told + &remedies(answer)
}

fn list<'v>(answer: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    let list = answer.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// The routes that match and do not count.
fn beaten(answer: &Value) -> String {
    let line = |route: &Value| {
        let field = |name: &str| printable(text(route, name).unwrap_or_default());
        format!(
            "    {:<10}  not `{}` ({}): {}\n",
            "",
            field("route"),
            field("file"),
            field("why")
        )
    };
    list(answer, "beaten").map(line).collect()
}

/// What would turn the verdict, one way after the other.
fn remedies(answer: &Value) -> String {
    let mut told = String::new();
    for remedy in list(answer, "remedies") {
        if told.is_empty() {
            told += "\nWhat would allow it, what opens least first:\n";
        }
        for (place, line) in list(remedy, "changes").enumerate() {
            let then = if place > 0 { "and " } else { "" };
            let change = printable(text(line, "change").unwrap_or_default());
            told += &match (text(line, "file"), text(line, "into")) {
                (Some(file), Some(into)) => {
                    let (file, into) = (printable(file), printable(into));
                    format!("  {then}{file}: add to {into}:\n      {change}\n")
                }
                _ => format!("  {then}{change}\n"),
            };
        }
        told += &opens(remedy);
    }
    told
}

/// What else it would open.
fn opens(remedy: &Value) -> String {
    const NAMED: usize = 3;
    let Some(opens) = remedy.get("opens") else {
        return String::new();
    };
    let count = opens
        .get("operations")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let some: Vec<_> = list(opens, "some")
        .filter_map(Value::as_str)
        .map(printable)
        .collect();
    let named = some.get(..NAMED).unwrap_or(&some).join("; ");
    let more = if some.len() > NAMED { "; …" } else { "" };
    let mut told = match count {
        0 => "      opens nothing else".to_owned(),
        count => format!("      opens {count} more: {named}{more}"),
    };
    let others = remedy
        .get("others")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if others > 0 {
        told += &format!("; {others} other accounts get the same");
    }
    told + "\n"
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
            "remedies": [
                {"changes": [{"kind": "command", "change": "portcullis accounts grant ci --role editor"}],
                 "opens": {"operations": 0, "some": []}},
                {"changes": [{"kind": "edit", "change": "permissions: [a:view, a:edit]",
                              "file": "p.yaml:3:5", "into": "role `viewer`"}],
                 "opens": {"operations": 4, "some": ["PUT /a", "PUT /b", "PUT /c", "PUT /d"]}, "others": 2},
            ],
        });
        insta::assert_snapshot!(plain(&tell(&answer)), @r"
        ok  path        `/a`
        no  permission  a:edit is missing

        no: permission_missing: a:edit is missing

        What would allow it, what opens least first:
          portcullis accounts grant ci --role editor
              opens nothing else
          p.yaml:3:5: add to role `viewer`:
              permissions: [a:view, a:edit]
              opens 4 more: PUT /a; PUT /b; PUT /c; …; 2 other accounts get the same
        ");
    }
}
