//! Reading descriptions of an API: the arguments that say how, the files, and a bar for who waits.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::NOTES_SHOWN;
use crate::admin;
use crate::cli::Failure;
use crate::cli::arguments::method;
use crate::import::foreign;
use crate::import::openapi::{self, Options, Progress};
use crate::import::{Draft, Notes, Plan, Way};
use crate::settings::Tokens;
use crate::words::{DimensionName, Method, UpstreamName};

/// Methods that only read, unless somebody says which do.
pub(super) const READ_METHODS: [Method; 2] = [Method::Get, Method::Head];

/// How a description is read.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct Reading {
    /// What permissions are made from where the description names none [default: tag]
    #[arg(long, value_enum)]
    pub(super) permission_from: Option<Source>,
    /// Methods that only read [default: GET,HEAD]
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    #[arg(value_parser = method)]
    pub(super) read_methods: Vec<Method>,
    /// Bind a dimension to a parameter of paths, wherever it stands
    #[arg(long, value_name = "DIMENSION=PARAMETER", value_delimiter = ',')]
    #[arg(value_parser = pair)]
    pub(super) within: Vec<(String, String)>,
    /// Parameter that may hold several segments of a path
    #[arg(long, value_name = "PARAMETER", value_delimiter = ',')]
    pub(super) multi_segment: Vec<String>,
    /// Server that is meant, where several are named: its number or a URL
    #[arg(long, value_name = "NUMBER|URL")]
    pub(super) server: Option<String>,
    /// Value of a variable in a server's URL
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) server_variable: Vec<(String, String)>,
}

/// What a permission's resource is made from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Source {
    /// The first tag; the path of an operation without one
    Tag,
    /// The last part of the path that is not a parameter
    Path,
    /// The operation's id up to its first `/`, `.` or `:`
    OperationId,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    if name.is_empty() {
        return Err("expected `name=value`".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

impl Reading {
    /// The same, with what it leaves out from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        fn list<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
            if own.is_empty() { other } else { own }
        }
        Self {
            permission_from: self.permission_from.or(other.permission_from),
            read_methods: list(self.read_methods, other.read_methods),
            within: list(self.within, other.within),
            multi_segment: list(self.multi_segment, other.multi_segment),
            server: self.server.or(other.server),
            server_variable: list(self.server_variable, other.server_variable),
        }
    }

    fn options(&self) -> Result<Options, Failure> {
        let dimension = |(name, parameter): &(String, String)| {
            let name: DimensionName = name.parse().map_err(Failure::usage)?;
            Ok::<_, Failure>((name, parameter.clone()))
        };
        Ok(Options {
            permission_from: match self.permission_from.unwrap_or(Source::Tag) {
                Source::Tag => openapi::PermissionFrom::Tag,
                Source::Path => openapi::PermissionFrom::Path,
                Source::OperationId => openapi::PermissionFrom::OperationId,
            },
            read_methods: if self.read_methods.is_empty() {
                READ_METHODS.into_iter().collect()
            } else {
                self.read_methods.iter().copied().collect()
            },
            multi_segment: self.multi_segment.clone(),
            within: self
                .within
                .iter()
                .map(dimension)
                .collect::<Result<_, _>>()?,
            server: self.server.clone(),
            server_variables: self.server_variable.clone(),
        })
    }

    /// Reads descriptions, or what is `foreign`, and plans the policy file they become.
    pub(in crate::cli) fn plan(
        &self,
        files: &[PathBuf],
        upstream: &UpstreamName,
        foreign: Option<foreign::Format>,
    ) -> Result<(Plan, Notes), Failure> {
        let options = self.options()?;
        let mut draft = Draft::default();
        for file in files {
            let name: Arc<Path> = Arc::from(file.as_path());
            let text = read(file)?;
            let mut bar = Bar::new();
            let mut progress = |progress: Progress| bar.show(progress);
            let found = match foreign {
                Some(format) => foreign::read(format, (&name, &text), &mut draft),
                None => openapi::read((&name, &text), &options, &mut draft, &mut progress),
            };
            bar.clear();
            found.map_err(Failure::invalid)?;
        }
        let mut dimensions: Vec<_> = options
            .within
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        dimensions.sort();
        dimensions.dedup();
        let describe = |name: DimensionName| {
            let description = format!("What {name} a caller is bound to");
            (name, description)
        };
        let way = Way {
            upstream: upstream.clone(),
            dimensions: dimensions.into_iter().map(describe).collect(),
            own_endpoints: admin::own_endpoints(&Tokens::default()),
        };
        let (plan, notes) = Plan::of(draft, way);
        if plan.routes.is_empty() {
            let notes: Vec<_> = notes
                .iter()
                .take(NOTES_SHOWN)
                .map(ToString::to_string)
                .collect();
            let notes = notes.join("\n");
            return Err(Failure::invalid(format_args!(
                "there is no operation to import\n{notes}"
            )));
        }
        Ok((plan, notes))
    }
}

/// The text of a description.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let cannot = |error: std::io::Error| {
        Failure::invalid(format_args!("cannot read `{}`: {error}", file.display()))
    };
    let opened = std::fs::File::open(file).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know.
    let most = u64::try_from(openapi::DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    opened
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::invalid(format_args!(
            "`{}` is not UTF-8 from byte {at} on",
            file.display()
        ))
    })
}

/// A bar on a terminal, for whoever waits longer than a second.
struct Bar {
    began: Instant,
    bar: Option<indicatif::ProgressBar>,
    on_terminal: bool,
}

impl Bar {
    const AFTER: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self {
            began: Instant::now(),
            bar: None,
            on_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, progress: Progress) {
        if !self.on_terminal || (self.bar.is_none() && self.began.elapsed() < Self::AFTER) {
            return;
        }
        let length = u64::try_from(progress.of).unwrap_or(u64::MAX);
        let bar = self
            .bar
            .get_or_insert_with(|| indicatif::ProgressBar::new(length));
        bar.set_position(u64::try_from(progress.done).unwrap_or(u64::MAX));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
