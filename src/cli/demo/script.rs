//! What the demo shows: one list of calls, printed as `curl` lines or made and checked.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::call::{Reply, call};
use super::{Stage, transport};
use crate::cli::output::{BAD, GOOD, STRONG, styled};
use crate::cli::transport::Operation;
use crate::cli::{Exit, Failure, Output};
use crate::words::Method;

/// Most routes of somebody's own policy that are called.
const ROUTES_MAX: usize = 5;

/// One call, and what must come of it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    title: String,
    method: Method,
    path: String,
    with_token: bool,
    expect: Expect,
}

/// What must come of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expect {
    /// The API behind answers, whatever it says.
    Forwarded,
    /// The gateway refuses for this reason, as the caller is told it.
    Refused(String),
}

/// The calls of one demo.
#[derive(Debug)]
pub(super) struct Script {
    calls: Vec<Call>,
    /// The refused call that is explained.
    explained: Option<Call>,
}

impl Script {
    /// The calls for what stands on the stage.
    ///
    /// # Errors
    ///
    /// What the service says when it is asked for routes.
    pub(super) fn of(stage: &Stage) -> Result<Self, Failure> {
        let calls = if stage.inventory.is_some() {
            inventory_calls()
        } else {
            calls_of_policy(stage)?
        };
        let refused = |call: &&Call| call.with_token && call.expect != Expect::Forwarded;
        let explained = calls.iter().find(refused).cloned();
        Ok(Self { calls, explained })
    }

    /// Prints the lines to paste.
    pub(super) fn print(&self, stage: &Stage, output: &mut Output) -> Result<(), Failure> {
        let gateway = stage.gateway_url();
        let mut number = 1;
        let mut say = |title: &str, line: &str| {
            let heading = styled(STRONG, format_args!("{number}. {title}"));
            number += 1;
            output.data(format_args!("{heading}\n   {line}\n\n"))
        };
        let token = format!(
            "TOKEN=$(curl -su {}:{} -d grant_type=client_credentials {gateway}/oauth/token \
             | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
            stage.key, stage.secret
        );
        say("Get a token for the key", &token)?;
        for call in &self.calls {
            say(&call.title, &call.as_curl(&gateway))?;
        }
        if let Some(call) = &self.explained {
            let command = format!(
                "explain {} '{}' --as {}",
                call.method, call.path, stage.account
            );
            say(
                "Why that was refused, and what would allow it",
                &stage.command(&command),
            )?;
        }
        let expire = stage.command(&format!("keys expire {}", stage.key));
        say("Take the key back", &expire)?;
        let allowed = |call: &&Call| call.with_token && call.expect == Expect::Forwarded;
        if let Some(call) = self.calls.iter().find(allowed) {
            let title = "A call it could make: its token is worth nothing any more";
            say(title, &call.as_curl(&gateway))?;
        }
        Ok(())
    }

    /// Makes every call and says how it went.
    pub(super) fn check(
        &self,
        stage: &Stage,
        runtime: &Runtime,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let mut report = Report { output, failed: 0 };
        let token = match runtime.block_on(token(stage)) {
            Ok(token) => token,
            Err(error) => {
                report.step("get a token for the key", Err(error))?;
                return Ok(Exit::No);
            }
        };
        report.step("get a token for the key", Ok("200".to_owned()))?;
        for wanted in &self.calls {
            let made = runtime.block_on(wanted.make(stage, &token));
            report.step(
                &wanted.heading(),
                made.and_then(|reply| wanted.judge(&reply)),
            )?;
        }
        if let Some(refused) = &self.explained {
            let title = format!("explain {} {}", refused.method, refused.path);
            report.step(&title, explained(stage, refused))?;
        }
        let expire = Operation::KeysExpire {
            key: stage.key,
            at: None,
        };
        let expired = transport::ask(&stage.settings, expire);
        let expired = expired
            .map(|_| "expired".to_owned())
            .map_err(|error| error.to_string());
        report.step("take the key back", expired)?;
        if let Some(allowed) = self.calls.iter().find(|call| call.with_token) {
            let dead = Call {
                expect: Expect::Refused("token_invalid".to_owned()),
                ..allowed.clone()
            };
            let made = runtime.block_on(dead.make(stage, &token));
            let title = format!("{} with the token it made", dead.heading());
            report.step(&title, made.and_then(|reply| dead.judge(&reply)))?;
        }
        report.end()
    }
}

/// How the steps went.
struct Report<'a> {
    output: &'a mut Output,
    failed: usize,
}

impl Report<'_> {
    fn step(&mut self, title: &str, outcome: Result<String, String>) -> Result<(), Failure> {
        match outcome {
            Ok(found) => self
                .output
                .data(format_args!("{}  {title}: {found}\n", styled(GOOD, "ok"))),
            Err(fault) => {
                self.failed += 1;
                self.output
                    .data(format_args!("{}  {title}: {fault}\n", styled(BAD, "no")))
            }
        }
    }

    fn end(self) -> Result<Exit, Failure> {
        if self.failed == 0 {
            self.output.remark("everything went as it should")?;
            return Ok(Exit::Ok);
        }
        self.output
            .remark(format_args!("{} steps went wrong", self.failed))?;
        Ok(Exit::No)
    }
}

impl Call {
    fn heading(&self) -> String {
        let token = if self.with_token {
            ""
        } else {
            ", no credential"
        };
        format!("{} {}{token}", self.method, self.path)
    }

    fn as_curl(&self, gateway: &str) -> String {
        let method = if self.method == Method::Get {
            String::new()
        } else {
            format!(" -X {}", self.method)
        };
        let token = if self.with_token {
            " -H \"Authorization: Bearer $TOKEN\""
        } else {
            ""
        };
        format!("curl -siw '\\n'{method}{token} '{gateway}{}'", self.path)
    }

    async fn make(&self, stage: &Stage, token: &str) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.path)
            .header(header::HOST, stage.address.to_string())
            // A caller who says he is somebody else is still who his token says he is.
            .header("X-Portcullis-Account", "root");
        if self.with_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        let reply = call(stage.address, request).await?;
        match reply
            .body
            .pointer("/caller/account")
            .and_then(Value::as_str)
        {
            Some(told) if told != stage.account.as_str() => {
                Err(format!("the API behind was told that `{told}` calls"))
            }
            _ => Ok(reply),
        }
    }

    fn judge(&self, reply: &Reply) -> Result<String, String> {
        let refused = reply.text("type").starts_with("urn:portcullis:reason:");
        let found = if refused {
            Expect::Refused(reply.text("reason").to_owned())
        } else {
            Expect::Forwarded
        };
        let told = match &found {
            Expect::Forwarded => format!("{}, from the API behind", reply.status.as_u16()),
            Expect::Refused(reason) => format!("{} {reason}", reply.status.as_u16()),
        };
        if found == self.expect {
            return Ok(told);
        }
        let expected = match &self.expect {
            Expect::Forwarded => "an answer of the API behind".to_owned(),
            Expect::Refused(reason) => reason.clone(),
        };
        Err(format!("{told}; expected {expected}"))
    }
}

/// The calls that show the inventory behind the gate.
fn inventory_calls() -> Vec<Call> {
    let call = |title: &str, method, path: &str, with_token, refused: Option<&str>| Call {
        title: title.to_owned(),
        method,
        path: path.to_owned(),
        with_token,
        expect: refused.map_or(Expect::Forwarded, |reason| {
            Expect::Refused(reason.to_owned())
        }),
    };
    let acme = "/v1/tenants/acme/devices";
    vec![
        call(
            "A route declared public",
            Method::Get,
            "/api/about",
            false,
            None,
        ),
        call(
            "Everything else asks for a credential",
            Method::Get,
            acme,
            false,
            Some("credential_missing"),
        ),
        call("A call the account may make", Method::Get, acme, true, None),
        call(
            "A call it may not make: another tenant",
            Method::Delete,
            "/v1/tenants/umbrella/devices/7",
            true,
            Some("outside_boundary"),
        ),
    ]
}

/// The first routes of somebody's own policy that can be called as they are written, each with the
/// outcome the service foretells.
fn calls_of_policy(stage: &Stage) -> Result<Vec<Call>, Failure> {
    let routes = transport::ask(&stage.settings, Operation::RoutesList {})?;
    let names = routes.as_array().into_iter().flatten();
    let names = names.filter_map(|route| route.get("name").and_then(Value::as_str));
    let paths = names.filter_map(|name| {
        let (methods, path) = name.split_once(' ')?;
        let plain = methods.split(',').any(|method| method == "GET") && !path.contains('{');
        plain.then(|| path.to_owned())
    });
    paths
        .take(ROUTES_MAX)
        .map(|path| {
            let foretold = foretell(stage, Method::Get, &path)?;
            let expect = match foretold.get("allowed").and_then(Value::as_bool) {
                Some(true) => Expect::Forwarded,
                Some(false) | None => Expect::Refused(reason_of(&foretold)),
            };
            Ok(Call {
                title: format!("GET {path}"),
                method: Method::Get,
                path,
                with_token: true,
                expect,
            })
        })
        .collect()
}

/// What the service says would come of a request by the demo's account.
fn foretell(stage: &Stage, method: Method, path: &str) -> Result<Value, Failure> {
    let question = Operation::Explain {
        method,
        target: path.to_owned(),
        account: Some(stage.account.clone()),
        grants: Vec::new(),
        host: None,
        from: None,
        headers: Vec::new(),
        brief: true,
    };
    transport::ask(&stage.settings, question)
}

fn reason_of(explanation: &Value) -> String {
    let reason = explanation.get("reason").and_then(Value::as_str);
    reason.unwrap_or_default().to_owned()
}

fn explained(stage: &Stage, refused: &Call) -> Result<String, String> {
    let told = foretell(stage, refused.method, &refused.path).map_err(|error| error.to_string())?;
    let told = reason_of(&told);
    if refused.expect == Expect::Refused(told.clone()) {
        return Ok(told);
    }
    Err(format!("it says `{told}`, which is not why"))
}

/// Gets a token for the demo's key, as any OAuth client would.
async fn token(stage: &Stage) -> Result<String, String> {
    use base64::Engine as _;
    let pair = format!("{}:{}", stage.key, stage.secret);
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    let request = Request::builder()
        .method("POST")
        .uri("/oauth/token")
        .header(header::HOST, stage.address.to_string())
        .header(header::AUTHORIZATION, format!("Basic {pair}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from_static(
            b"grant_type=client_credentials",
        )))
        .map_err(|error| error.to_string())?;
    let reply = call(stage.address, request).await?;
    match reply.text("access_token") {
        "" => Err(format!("{} without a token", reply.status.as_u16())),
        token => Ok(token.to_owned()),
    }
}
