//! `portcullis schema`: what editors read to help with our files.
//!
//! It is in the binary, so it is that of this release, and there without a network.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Context, Exit, Failure};
use crate::schema::Kind;

/// Which schema, and where to.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis schema                      that of portcullis.yaml
  portcullis schema policy > policy.schema.json
  portcullis schema --dir schemas        both, as files that the first line of yours may name")]
pub(super) struct Schema {
    /// Kind of file
    #[arg(value_enum)]
    kind: Option<FileKind>,
    /// Folder to write into: both, or the one that is named
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// The kinds, as they are typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileKind {
    /// `portcullis.yaml`
    Settings,
    /// A file of a policy folder
    Policy,
}

impl From<FileKind> for Kind {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Settings => Self::Settings,
            FileKind::Policy => Self::Policy,
        }
    }
}

/// Prints one, or writes them.
pub(super) fn run(schema: &Schema, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let kind = schema.kind.map(Kind::from);
    let Some(folder) = &schema.dir else {
        let text = kind.unwrap_or(Kind::Settings).text();
        context.output.bytes(text.as_bytes())?;
        return Ok(Exit::Ok);
    };
    for one in Kind::ALL {
        if kind.is_none_or(|kind| kind == one) {
            let file = write(folder, one)?;
            context
                .output
                .remark(format_args!("wrote `{}`", file.display()))?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes the schema of `kind` into `folder`, over the one of another release. Returns the file.
fn write(folder: &Path, kind: Kind) -> Result<PathBuf, Failure> {
    let file = folder.join(kind.file_name());
    let beside = folder.join(format!(".{}.new", kind.file_name()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&beside, kind.text()))
        .and_then(|()| std::fs::rename(&beside, &file))
        .map_err(|error| {
            Failure::server(format_args!("cannot write `{}`: {error}", file.display()))
        })?;
    Ok(file)
}
