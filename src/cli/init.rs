//! `portcullis init`: a first settings file and a first policy, which `check` accepts as they are.
//!
//! Nothing is overwritten: whoever has files already has something to lose.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use http::Uri;

use super::import::{self, Reading};
use super::{Context, Exit, Failure};
use crate::import::write;
use crate::schema::Kind;

/// The settings file, with `UPSTREAM` to be filled in.
const SETTINGS: &str = include_str!("init/portcullis.yaml");
/// The first policy file.
const POLICY: &str = include_str!("init/api.yaml");

/// Where the first files go.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis init --upstream http://127.0.0.1:3000
  portcullis init --openapi api.json --upstream http://127.0.0.1:3000    routes from a description
  portcullis init gateway --upstream unix:/run/app.sock && portcullis check gateway")]
pub(super) struct Init {
    /// Folder to write into
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The API behind: scheme and authority only, or a Unix socket
    #[arg(long, value_name = "URL", value_parser = upstream)]
    #[arg(default_value = "http://127.0.0.1:3000")]
    upstream: String,
    /// Description of the API, OpenAPI 2.0, 3.0 or 3.1: the policy is made from it, and nothing is
    /// enforced yet
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

/// What stands in the settings where nothing is enforced yet.
const SHADOW: &str = "\n\
# Shadow mode: every decision is made, logged and counted, and none is enforced. Look for a while at who
# would be refused. `shadow: false` in a policy file enforces what it says, at its next reload; remove
# both lines, and start anew, when all of it is enforced.
shadow: true
default_upstream: api                 # where requests go that no route names
";

/// Reads an upstream as the settings file will: `http://host:port` or `unix:/path`.
pub(super) fn upstream(text: &str) -> Result<String, String> {
    const EXPECTED: &str =
        "expected `http://host:port`, `https://host:port` or `unix:/path/to.sock`";
    if let Some(path) = text.strip_prefix("unix:") {
        let plain = path.starts_with('/') && !path.contains(['"', '\\', '\n']);
        return plain
            .then(|| text.to_owned())
            .ok_or_else(|| EXPECTED.to_owned());
    }
    let uri: Uri = text.parse().map_err(|_| EXPECTED.to_owned())?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let plain = matches!(scheme, "http" | "https")
        && matches!(
            uri.path_and_query().map(|rest| rest.as_str()),
            None | Some("/")
        );
    match uri.authority().filter(|_| plain) {
        Some(authority) if !authority.as_str().contains('@') => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err(format!("{EXPECTED}: a path belongs into the routes")),
    }
}

/// Writes the files.
pub(super) fn run(init: &Init, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (settings, policy) = (
        init.folder.join("portcullis.yaml"),
        init.folder.join("policies/api.yaml"),
    );
    let mut first = SETTINGS.replace("UPSTREAM", &init.upstream);
    let mut files = Vec::new();
    let mut plan = None;
    if let Some(description) = &init.openapi {
        let upstream = "api".parse().expect("a plain name");
        let (planned, notes) =
            init.reading
                .plan(std::slice::from_ref(description), &upstream, None)?;
        let text = format!("{}{}", modeline(POLICY), write(&planned));
        first.push_str(SHADOW);
        let how = import::How::openapi(init.reading.clone());
        files.push((import::imported(&policy), import::kept(&how, &text)));
        files.push((policy, text));
        plan = Some((planned, notes));
    } else {
        files.push((policy, POLICY.to_owned()));
    }
    files.push((settings, first));
    // Beside the files and not behind a URL: an editor without a network finds them, and they are those
    // of this release.
    files.extend(Kind::ALL.map(|kind| {
        let file = init.folder.join("schemas").join(kind.file_name());
        (file, kind.text())
    }));
    // All or nothing: one file of two would be neither the old setup nor the new one.
    if let Some((there, _)) = files
        .iter()
        .find(|(file, _)| file.symlink_metadata().is_ok())
    {
        return Err(occupied(there));
    }
    for (file, text) in &files {
        write_new(file, text)?;
        context.output.remark(format_args!(
            "wrote `{}`",
            file.strip_prefix(".").unwrap_or(file).display()
        ))?;
    }
    if let Some((plan, notes)) = &plan {
        import::tell(plan, notes, false, context)?;
        context.output.remark(
            "nothing is enforced yet: `shadow: true` in portcullis.yaml, which also says how to leave that",
        )?;
    }
    let folder = if init.folder == Path::new(".") {
        String::new()
    } else {
        format!("cd {} && ", init.folder.display())
    };
    // Neither command takes the policy before that is decided.
    let review = plan.is_some_and(|(plan, _)| plan.to_review() > 0);
    let first = if review {
        "say in policies/api.yaml what each `review_public` needs, then "
    } else {
        ""
    };
    context.output.remark(format_args!(
        "next: {first}`{folder}portcullis check`, then `portcullis serve`"
    ))?;
    Ok(Exit::Ok)
}

/// The lines of a first file that tell an editor what may stand in it.
fn modeline(file: &str) -> String {
    let lines = file.lines().take_while(|line| line.contains("$schema"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut opened = OpenOptions::new().write(true).create_new(true).open(file)?;
        opened.write_all(text.as_bytes())
    });
    written.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return occupied(file);
        }
        Failure::server(format_args!("cannot write `{}`: {error}", file.display()))
    })
}

fn occupied(file: &Path) -> Failure {
    Failure::new(
        Exit::Conflict,
        format_args!(
            "nothing done: `{}` is there already; name another folder, move it away, or edit it",
            file.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compile;

    #[test]
    fn an_upstream_is_scheme_and_authority_or_a_socket() {
        for (text, read) in [
            ("http://127.0.0.1:3000", Ok("http://127.0.0.1:3000")),
            ("http://api.internal/", Ok("http://api.internal")),
            ("https://api.internal:8443", Ok("https://api.internal:8443")),
            ("http://[::1]:3000", Ok("http://[::1]:3000")),
            ("unix:/run/app.sock", Ok("unix:/run/app.sock")),
            ("http://host/v1", Err(())),
            ("http://host/?a=b", Err(())),
            ("http://user:pass@host", Err(())),
            ("ftp://host", Err(())),
            ("host:3000", Err(())),
            ("unix:run/app.sock", Err(())),
            ("unix:/a\"b", Err(())),
            ("", Err(())),
        ] {
            let expected = read.map(str::to_owned);
            assert_eq!(upstream(text).map_err(drop), expected, "{text}");
        }
    }

    #[test]
    fn the_first_settings_are_valid() {
        let text = SETTINGS.replace("UPSTREAM", "unix:/run/app.sock");
        let settings = crate::settings::Settings::from_text(Path::new("portcullis.yaml"), &text);
        assert_eq!(settings.unwrap().upstreams.len(), 1);
    }

    #[test]
    fn the_first_policy_compiles_and_brings_tests() {
        let file = compile::SourceFile {
            path: Path::new("api.yaml").into(),
            text: POLICY.to_owned(),
        };
        let context = compile::Context {
            upstreams: None,
            own_endpoints: Vec::new(),
            files_only: false,
        };
        let policy = compile::compile(&[file], &context).unwrap();
        assert_eq!(policy.upstreams, ["api".parse().unwrap()]);
        assert!(
            policy.findings.count(crate::words::Level::Warning) == 0 && !policy.tests.is_empty()
        );
    }
}
