//! The command line: one file per noun, each saying what it takes, what it asks for and what it
//! prints.
//!
//! A command that reads or changes state builds one `Operation`. If a server runs, the operation
//! goes to it through the control socket; if none runs, this process opens the store itself; if a
//! server elsewhere is named, it goes to its admin API. Whichever way, the same service answers, so
//! there is one set of rules and one form of every answer.
//!
//! Data goes to stdout, talk to stderr, and how it ended to the exit code; secrets never come from
//! flags, where every other process could read them.

mod accounts;
mod arguments;
mod audit;
mod check;
mod completions;
mod confirm;
mod contexts;
mod demo;
mod denials;
mod digests;
mod explain;
mod export;
mod failure;
mod grid;
mod groups;
mod handover;
mod hints;
mod import;
mod init;
mod keys;
mod lists;
mod login;
mod matrix;
mod names;
mod output;
mod place;
mod remote;
mod roles;
mod routes;
mod schema;
mod serve;
mod server;
mod store;
mod table;
mod tokens;
mod transport;
mod version;
mod yaml;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use serde_json::Value;

pub use failure::{Exit, Failure};
pub use output::{Format, Output, Talk};

use crate::clock::Clock;
use crate::settings::Settings;
use crate::words::discreet;
use confirm::Confirmed;
use handover::Form;
use place::{By, Place, file_of};
use table::View;
use transport::{Operation, Reach};

/// Examples first: who asks for help wants to see the command he is about to type.
const HELP: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// Puts existing HTTP APIs behind service-account authorization
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
#[command(before_help = "Examples:
  portcullis demo                        see it work, with nothing to set up
  portcullis init --upstream http://127.0.0.1:3000
  portcullis check                       prove the files, run their tests
  portcullis serve
  portcullis accounts create ci --role reader
  portcullis keys create ci
  portcullis can-i GET /v1/devices --as ci")]
#[command(after_help = "Exit codes:
  0 done, allowed, valid      1 denied, invalid      2 usage      3 server or network
  4 not permitted             5 not found            6 conflict")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Under what stands in the help of every command, apart from what the command itself takes.
const EVERYWHERE: &str = "Everywhere";

/// What every command takes.
#[derive(Args, Debug)]
struct Global {
    /// Settings file [default: ./portcullis.yaml, else /etc/portcullis/portcullis.yaml]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "PORTCULLIS_CONFIG"
    )]
    #[arg(help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// How answers are printed
    #[arg(
        short,
        long,
        global = true,
        default_value = "table",
        hide_possible_values = true
    )]
    #[arg(value_name = "table|json|yaml|jsonl|name", value_parser = forms())]
    #[arg(help_heading = EVERYWHERE)]
    output: Asked,
    /// Say less: no remarks, and nothing where the exit code is the answer
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,
    /// Do not ask before something that cannot be undone
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    yes: bool,
    /// Leave out the headings of tables
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    no_headers: bool,
    #[command(flatten)]
    place: Place,
}

/// How answers are printed; of a new key, how its secret is handed over.
type Asked = (Format, Option<Form>);

/// Reads what `-o` says.
fn forms() -> impl TypedValueParser<Value = Asked> {
    const SECRETS: [&str; 2] = ["env", "k8s-secret"];
    let formats = Format::value_variants().iter();
    let formats = formats.filter_map(ValueEnum::to_possible_value);
    let secrets = SECRETS.map(PossibleValue::new);
    PossibleValuesParser::new(formats.chain(secrets)).map(|text| match text.as_str() {
        "env" => (Format::Table, Some(Form::Env)),
        "k8s-secret" => (Format::Table, Some(Form::KubernetesSecret)),
        format => (Format::from_str(format, false).unwrap_or_default(), None),
    })
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve,
    /// See it work: an API, the gateway before it and an account, with nothing to set up
    Demo(demo::Demo),
    /// Write a first settings file and a first policy
    Init(init::Init),
    /// Prove settings and policy, and run the policy's tests
    Check(check::Check),
    /// Say whether an account may make a request
    CanI(explain::CanI),
    /// Tell step by step how a request is decided, and what would change the answer
    Explain(explain::Explain),
    #[command(subcommand, alias = "account")]
    Accounts(accounts::Command),
    #[command(subcommand, alias = "key")]
    Keys(keys::Command),
    #[command(subcommand, alias = "role")]
    Roles(roles::Command),
    #[command(subcommand, alias = "group")]
    Groups(groups::Command),
    #[command(subcommand, alias = "token")]
    Tokens(tokens::Command),
    #[command(subcommand, alias = "route")]
    Routes(routes::Command),
    #[command(subcommand, alias = "permission")]
    Permissions(routes::Permissions),
    #[command(subcommand, alias = "denied")]
    Denials(denials::Command),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    Store(store::Command),
    /// Say how the running server is
    Status(lists::Watch),
    /// Read the policy folder again, now
    Reload,
    /// Stop taking requests, finish those that run, and end the server
    Drain,
    /// Manage a server elsewhere from here: take a key for its admin API
    Login(login::Login),
    /// Forget the key of a server
    Logout(login::Logout),
    /// Say as whom the server knows you, and what you may do there
    Whoami,
    #[command(subcommand, alias = "context")]
    Contexts(login::Command),
    /// Print the JSON Schema of settings or policy files, for editors
    Schema(schema::Schema),
    /// Print a completion script
    Completions(completions::Completions),
    /// Print the manual page, or write one page per command into a folder
    Man(completions::Man),
    /// Say which build this is
    Version,
}

impl Command {
    /// Says whether it works on files and processes of this machine, and asks no server elsewhere.
    fn is_for_this_machine(&self) -> bool {
        match self {
            Self::Serve | Self::Demo(_) | Self::Init(_) | Self::Check(_) | Self::Store(_) => true,
            Self::CanI(_)
            | Self::Explain(_)
            | Self::Accounts(_)
            | Self::Keys(_)
            | Self::Roles(_)
            | Self::Groups(_)
            | Self::Tokens(_)
            | Self::Routes(_)
            | Self::Permissions(_)
            | Self::Denials(_)
            | Self::Audit(_)
            | Self::Status(_)
            | Self::Reload
            | Self::Drain
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Whoami
            | Self::Contexts(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Version => false,
        }
    }
}

/// Runs the command line `arguments` and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if names::answer(&arguments, tree) {
        return ExitCode::SUCCESS;
    }
    let parsed = tree().try_get_matches_from(arguments);
    let named = parsed.as_ref().ok().and_then(names::named_by);
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(mut error) => {
            hints::help(&mut error, &mut tree());
            // Help that nobody reads any more is no reason to fail.
            drop(print(&error));
            return u8::try_from(error.exit_code())
                .unwrap_or(Exit::Usage.code())
                .into();
        }
    };
    let talk = if cli.global.quiet {
        Talk::Quiet
    } else {
        Talk::Normal
    };
    let (format, form) = cli.global.output;
    let mut output = Output::of_process(format, talk, Clock::System.now());
    if cli.global.no_headers {
        output = output.without_headings();
    }
    let mut context = Context {
        output: &mut output,
        form,
        config: cli.global.config,
        assume_yes: cli.global.yes,
        place: cli.global.place,
        named,
        reach: None,
    };
    let ended = dispatch(cli.command, &mut context);
    let ended = ended.and_then(|exit| output.flush().map(|()| exit));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let error = output::styled(output::BAD, "error:");
            let told = failure.to_string();
            let told = discreet(told.as_bytes());
            let told = String::from_utf8_lossy(&told);
            // What cannot be said on stderr cannot be said at all.
            drop(output.complain(format_args!("{error} {told}")));
            failure.exit.into()
        }
    }
}

/// Says what is wrong with a command line, and not the secret that may stand in it.
fn print(error: &clap::Error) -> std::io::Result<()> {
    let told = error.to_string();
    match discreet(told.as_bytes()) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(told) => std::io::stderr().write_all(&told),
    }
}

fn dispatch(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if context.output.format() == Format::Sarif && !matches!(command, Command::Check(_)) {
        return Err(Failure::usage("`-o sarif` is for `portcullis check` alone"));
    }
    let makes_secret = matches!(&command, Command::Keys(command) if command.makes_secret());
    if context.form.is_some() && !makes_secret {
        return Err(Failure::usage(
            "`-o env` and `-o k8s-secret` are for `portcullis keys create` and `keys rotate` alone",
        ));
    }
    if command.is_for_this_machine() {
        if context.place.is_elsewhere() {
            return Err(Failure::usage(
                "this command works on the files of this machine: run it on the machine of the server, \
                 without `--server` and `--context`",
            ));
        }
        // Nor does it ask anybody elsewhere, whatever the environment and `contexts use` say.
        context.place = Place::of_this_machine();
    }
    match command {
        Command::Serve => serve::run(context),
        Command::Demo(demo) => demo::run(&demo, context),
        Command::Init(init) => init::run(&init, context),
        Command::Check(check) => check::run(&check, context),
        Command::CanI(question) => explain::can_i(question, context),
        Command::Explain(question) => explain::run(question, context),
        Command::Accounts(command) => accounts::run(command, context),
        Command::Keys(command) => keys::run(command, context),
        Command::Roles(command) => roles::run(command, context),
        Command::Groups(command) => groups::run(command, context),
        Command::Tokens(command) => tokens::run(command, context),
        Command::Routes(command) => routes::run(command, context),
        Command::Permissions(command) => routes::run_permissions(command, context),
        Command::Denials(command) => denials::run(command, context),
        Command::Audit(command) => audit::run(command, context),
        Command::Store(command) => store::run(command, context),
        Command::Status(watch) => server::status(watch, context),
        Command::Reload => context.perform(Operation::Reload {}, &server::VIEW),
        Command::Drain => server::drain(context),
        Command::Login(login) => login::login(login, context),
        Command::Logout(logout) => login::logout(logout, context),
        Command::Whoami => login::whoami(context),
        Command::Contexts(command) => login::contexts(command, context),
        Command::Schema(schema) => schema::run(&schema, context),
        Command::Completions(completions) => completions::run(&completions, context),
        Command::Man(man) => completions::man(&man, context),
        Command::Version => version::run(context),
    }
}

/// The tree of commands, with examples before everything else in each command's help.
fn tree() -> clap::Command {
    fn lead_with_examples(command: clap::Command) -> clap::Command {
        command
            .help_template(HELP)
            .mut_subcommands(lead_with_examples)
    }
    lead_with_examples(Cli::command())
}

/// What a command has at hand.
struct Context<'a> {
    output: &'a mut Output,
    /// How a new key's secret is handed over, if not as the output says.
    form: Option<Form>,
    config: Option<PathBuf>,
    assume_yes: bool,
    place: Place,
    /// How the settings file was named, if it was.
    named: Option<By>,
    /// Where operations go, once that is known.
    reach: Option<Rc<Reach>>,
}

impl Context<'_> {
    /// The settings file: the one named, or the first that is there.
    fn settings_file(&self) -> Result<PathBuf, Failure> {
        file_of(self.config.as_ref())
    }

    /// The settings.
    fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::load(&self.settings_file()?)?)
    }

    /// Where operations go: to a server elsewhere if one is named, else to the one of this machine.
    fn reach(&mut self) -> Result<Rc<Reach>, Failure> {
        if let Some(reach) = &self.reach {
            return Ok(Rc::clone(reach));
        }
        let found = self.place.find(self.named)?;
        let reach = match self.place.server(found, self.output)? {
            Some(server) => Reach::Server(Box::new(server)),
            None => Reach::Machine(Box::new(self.settings()?)),
        };
        Ok(Rc::clone(self.reach.insert(Rc::new(reach))))
    }

    /// Has the running server carry out `operation`, or does it on the store when none runs.
    fn ask(&mut self, operation: Operation) -> Result<Value, Failure> {
        let reach = self.reach()?;
        let answer = reach.ask(operation);
        if let Some(said) = reach.said() {
            self.output.remark(said)?;
        }
        answer
    }

    /// Asks the policy files in `folder` if one is named, else as [`Context::ask`] does.
    fn ask_of(&mut self, folder: Option<&Path>, operation: Operation) -> Result<Value, Failure> {
        match folder {
            Some(folder) => {
                let policy = check::policy_in(Some(folder), self)??;
                transport::ask_policy(policy, operation)
            }
            None => self.ask(operation),
        }
    }

    /// The same, and prints the answer.
    fn perform(&mut self, operation: Operation, view: &View) -> Result<Exit, Failure> {
        let answer = self.ask(operation)?;
        self.output.answer(&answer, view)?;
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests;
