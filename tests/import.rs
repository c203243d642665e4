//! Importing descriptions of real APIs: what is counted, that whatever comes out compiles, and what the
//! commands do with files.

mod commands;
mod corpus;
mod hostile;
mod large;
mod roundtrip;

use std::path::Path;
use std::sync::Arc;

use portcullis::import::openapi::{self, Options};
use portcullis::import::{Draft, Notes, Plan, Way, write};
use portcullis::policy::Policy;
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::words::{Fault, Faults};

/// What an import gives: the plan, its text, and what was remarked.
struct Imported {
    plan: Plan,
    text: String,
    notes: Notes,
}

fn import(name: &str, text: &str, options: &Options) -> Result<Imported, Fault> {
    let mut draft = Draft::default();
    let file: Arc<Path> = Arc::from(Path::new(name));
    openapi::read((&file, text), options, &mut draft, &mut |_| {})?;
    let dimensions = options.within.iter().map(|(name, _)| name.clone());
    let way = Way {
        upstream: "api".parse().unwrap(),
        dimensions: dimensions
            .map(|name| (name, "Whose it is".to_owned()))
            .collect(),
        own_endpoints: portcullis::admin::own_endpoints(&portcullis::settings::Tokens::default()),
    };
    let (plan, notes) = Plan::of(draft, way);
    let text = write(&plan);
    Ok(Imported { plan, text, notes })
}

/// The policy that a file is, after somebody has decided about what had to be reviewed.
fn decided(text: &str) -> Result<Policy, Faults> {
    let file = SourceFile {
        path: Arc::from(Path::new("api.yaml")),
        text: text.replace("needs: review_public", "needs: any_account"),
    };
    let context = Context {
        upstreams: None,
        own_endpoints: portcullis::admin::own_endpoints(&portcullis::settings::Tokens::default()),
        ..Context::default()
    };
    compile(&[file], &context)
}
