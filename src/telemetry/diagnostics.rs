//! What the program says about itself, on standard error: start, stop, reload, what failed.
//!
//! Apart from the decision log, because it is for another reader and another pace: seldom, never
//! per request, and it may be pretty where a person looks at it.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, fmt};

/// The variable that says what is heard: `warn`, or `info,portcullis::store=debug`.
pub const LEVEL_VARIABLE: &str = "PORTCULLIS_LOG";

/// How diagnostics look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people on a terminal, as JSON everywhere else.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Why diagnostics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosticsError {
    /// The level says nothing we understand.
    #[error(
        "`{text}` in {LEVEL_VARIABLE} is not a level: expected `error`, `warn`, `info`, `debug` or \
         `trace`, or a list such as `info,portcullis::store=debug`"
    )]
    Level {
        /// What was given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Somebody has set up diagnostics before.
    #[error("diagnostics are set up already")]
    Twice(#[source] TryInitError),
}

/// Sends diagnostics to standard error from now on. `level` is what [`LEVEL_VARIABLE`] holds; the
/// default is `info`.
///
/// # Errors
///
/// If `level` cannot be read, or this was called before.
pub fn init(format: Format, level: Option<&str>) -> Result<(), DiagnosticsError> {
    let targets = targets(level)?;
    let pretty = match format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Json => false,
        Format::Text => true,
    };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if pretty {
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        lines.with_target(false).with_ansi(colour).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .try_init()
        .map_err(DiagnosticsError::Twice)
}

fn targets(level: Option<&str>) -> Result<Targets, DiagnosticsError> {
    let Some(text) = level.filter(|text| !text.is_empty()) else {
        return Ok(Targets::new().with_default(LevelFilter::INFO));
    };
    text.parse().map_err(|source| DiagnosticsError::Level {
        text: text
            .chars()
            .take(80)
            .flat_map(char::escape_default)
            .collect(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_may_differ_by_module() {
        let targets = targets(Some("warn,portcullis::store=debug")).unwrap();
        assert!(targets.would_enable("portcullis::store::sqlite", &Level::DEBUG));
        assert!(!targets.would_enable("portcullis::gateway", &Level::INFO));
    }

    #[test]
    fn without_a_level_it_is_info() {
        for level in [None, Some("")] {
            let targets = targets(level).unwrap();
            assert!(targets.would_enable("portcullis", &Level::INFO));
            assert!(!targets.would_enable("portcullis", &Level::DEBUG));
        }
    }

    #[test]
    fn a_misspelt_level_is_named() {
        let error = targets(Some("portcullis=loud")).unwrap_err();
        assert!(error.to_string().contains("`portcullis=loud`"), "{error}");
    }
}
