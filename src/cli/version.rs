//! `portcullis version`: which build this is, in the words a bug report needs.

use serde_json::json;

use super::output::Format;
use super::table::View;
use super::{Context, Exit, Failure};

const VIEW: View = View {
    plural: "builds",
    name: "version",
    columns: &[],
};

/// Prints the version, the commit if the builder said it, and the system it was built for.
pub(super) fn run(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    // Said by whoever builds a release; a plain `cargo build` does not know it.
    let commit = option_env!("PORTCULLIS_COMMIT");
    let rustc = env!("CARGO_PKG_RUST_VERSION");
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    if context.output.format() == Format::Table {
        let commit = commit.unwrap_or("no commit given");
        let line = format!("portcullis {version} ({commit}, rust {rustc} or later, {platform})\n");
        context.output.data(line)?;
    } else {
        let build = json!({
            "version": version,
            "commit": commit,
            "rust_version": rustc,
            "platform": platform,
        });
        context.output.answer(&build, &VIEW)?;
    }
    Ok(Exit::Ok)
}
