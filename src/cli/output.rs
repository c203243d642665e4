//! The one way out of every command: data on stdout, talk on stderr.
//!
//! A reader that goes away (`| head -1`) is not an error: what is written after that is dropped,
//! and the command ends with the code it would have had anyway. Any other failure to write is one,
//! or a key's only secret could be lost on a full disk behind an exit code of 0.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::Value;

use super::Failure;
use super::table::{self, Drawn, View};
use super::yaml;
use crate::words::UnixTime;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns, for people; times are relative
    #[default]
    Table,
    /// The service's answer unchanged, on one line
    Json,
    /// The same as YAML
    Yaml,
    /// One JSON object a line
    Jsonl,
    /// Names only
    Name,
    /// SARIF 2.1.0, of `check` alone
    Sarif,
}

/// Whether a command talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Answers and remarks.
    Normal,
    /// No remarks, and no answer where the exit code is one.
    Quiet,
}

/// A yes.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A no, or what is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What should be looked at.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default().bold();
/// What leads the eye.
pub(super) const STRONG: Style = Style::new().bold();

/// What empties a terminal's screen and puts the cursor in its first place.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Where a command writes.
pub struct Output {
    data: BufWriter<Box<dyn Write>>,
    talk: Box<dyn Write>,
    format: Format,
    quiet: bool,
    now: UnixTime,
    reader_gone: bool,
    /// How many columns the terminal has that data goes to, if it goes to one.
    width: Option<usize>,
    /// Whether lists have headings.
    headings: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Stdout and stderr, in colour where they are terminals and `NO_COLOR` is not set.
    pub fn of_process(format: Format, talk: Talk, now: UnixTime) -> Self {
        let writers: (Box<dyn Write>, Box<dyn Write>) =
            (Box::new(anstream::stdout()), Box::new(anstream::stderr()));
        Self {
            width: width(),
            ..Self::to(writers, format, talk, now)
        }
    }

    /// Data into the first writer, talk into the second.
    pub fn to(
        (data, talk): (Box<dyn Write>, Box<dyn Write>),
        format: Format,
        talks: Talk,
        now: UnixTime,
    ) -> Self {
        Self {
            data: BufWriter::new(data),
            talk,
            format,
            quiet: talks == Talk::Quiet,
            now,
            reader_gone: false,
            width: None,
            headings: true,
        }
    }

    /// The same without headings over lists.
    pub(super) fn without_headings(mut self) -> Self {
        self.headings = false;
        self
    }

    /// How data is to be printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Says whether an answer that the exit code gives too is to be left out.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How many columns there are for a line; none where nobody looks at columns.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Says whether whoever read stdout has gone.
    pub fn is_closed(&self) -> bool {
        self.reader_gone
    }

    /// The time by which relative times are told.
    pub fn now(&self) -> UnixTime {
        self.now
    }

    /// Prints an answer of the service in the format asked for.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take it.
    pub fn answer(&mut self, value: &Value, view: &View) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => {
                let drawn = self.drawn(value, view);
                if drawn.text.is_empty() {
                    return self.remark(format_args!("no {}", view.plural));
                }
                self.data(drawn.text)?;
                if drawn.left_out.is_empty() {
                    return Ok(());
                }
                return self.remark(format_args!(
                    "no room here for {}: `-o json` has all of it",
                    drawn.left_out.join(", ")
                ));
            }
            // A report that is no list of places has no other form.
            Format::Json | Format::Sarif => format!("{value}\n"),
            Format::Yaml => yaml::to_string(value),
            Format::Jsonl => items(value).map(|item| format!("{item}\n")).collect(),
            Format::Name => items(value)
                .map(|item| table::name_of(item, view) + "\n")
                .collect(),
        };
        self.data(text)
    }

    /// An answer as a table.
    pub(super) fn drawn(&self, value: &Value, view: &View) -> Drawn {
        let mut drawn = table::draw(value, view, self.now, self.width);
        if !self.headings && value.is_array() {
            let rows = drawn.text.split_once('\n');
            drawn.text = rows.map_or_else(String::new, |(_, rows)| rows.to_owned());
        }
        drawn
    }

    /// Tells time from `now` on, and fits what is drawn to the terminal as it is by now. How many rows that
    /// has; nothing where data does not go to one.
    pub(super) fn renew(&mut self, now: UnixTime) -> Option<usize> {
        self.now = now;
        let size = self
            .width
            .and(rustix::termios::tcgetwinsize(io::stdout()).ok())?;
        self.width = Some(usize::from(size.ws_col)).filter(|width| *width > 0);
        Some(usize::from(size.ws_row)).filter(|rows| *rows > 0)
    }

    /// Empties the screen that data goes to.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take it.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        self.flush()?;
        // Past what takes colour out: this is no colour.
        let mut screen = io::stdout();
        let cleared = screen.write_all(CLEAR).and_then(|()| screen.flush());
        self.settle(cleared)
    }

    /// Prints `text` on stdout as it is.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take it.
    pub fn data(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.reader_gone {
            return Ok(());
        }
        let written = write!(self.data, "{text}");
        self.settle(written)
    }

    /// Prints bytes on stdout as they are.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take them.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.reader_gone {
            return Ok(());
        }
        let written = self.data.write_all(bytes);
        self.settle(written)
    }

    /// Says something on stderr, unless told to be quiet.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take what was printed before.
    pub fn remark(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        self.complain(text)
    }

    /// Says on stderr what is wrong; quiet or not.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take what was printed before.
    pub fn complain(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        // Data first, or the two get out of order on a terminal that shows both.
        let flushed = self.flush();
        // There is nobody left to tell that stderr is broken.
        drop(writeln!(self.talk, "{text}"));
        flushed
    }

    /// Asks for something on stderr; what is typed stands behind it.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take what was printed before.
    pub(super) fn prompt(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.flush()?;
        // There is nobody left to tell that stderr is broken.
        drop(write!(self.talk, "{text}").and_then(|()| self.talk.flush()));
        Ok(())
    }

    /// Hands everything on to the system.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.reader_gone {
            return Ok(());
        }
        let flushed = self.data.flush();
        self.settle(flushed)
    }

    /// Hands everything on to the system, where a reader that left is a failure: of what nobody will
    /// print again.
    ///
    /// # Errors
    ///
    /// [`super::Exit::Server`] when stdout does not take it, or nobody reads it any more.
    pub(super) fn flush_to_reader(&mut self) -> Result<(), Failure> {
        self.flush()?;
        match self.reader_gone {
            true => Err(Failure::server("nobody reads what is printed any more")),
            false => Ok(()),
        }
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.reader_gone = true;
                Ok(())
            }
            written => {
                written.map_err(|error| Failure::server(format_args!("write to stdout: {error}")))
            }
        }
    }
}

/// The items of a list, or the one thing there is.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let single = (!value.is_array()).then_some(value);
    items.iter().chain(single)
}

/// `text` in a style; the writers take the style out where it does not belong.
pub(super) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How many characters a line of the terminal has that answers go to; nothing if they go elsewhere.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use serde_json::json;

    use super::*;

    /// A writer whose text can be read afterwards.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Paper {
        pub(in crate::cli) fn text(&self) -> String {
            anstream::adapter::strip_bytes(&self.0.borrow())
                .into_vec()
                .try_into()
                .unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output on paper: what it prints, what it says, and itself.
    pub(in crate::cli) fn on_paper(format: Format, talk: Talk) -> (Paper, Paper, Output) {
        let (data, said) = (Paper::default(), Paper::default());
        let writers: (Box<dyn Write>, Box<dyn Write>) =
            (Box::new(data.clone()), Box::new(said.clone()));
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        (data, said, Output::to(writers, format, talk, now))
    }

    fn printed(format: Format, value: &Value) -> String {
        let (data, _, mut output) = on_paper(format, Talk::Normal);
        output.answer(value, &super::super::accounts::VIEW).unwrap();
        output.flush().unwrap();
        data.text()
    }

    #[test]
    fn every_format_of_a_list_reads_back_as_the_list() {
        let list = json!([
            {"name": "ci", "description": "Builds", "grants": []},
            {"name": "cd", "description": "no", "grants": []},
        ]);
        assert_eq!(
            serde_json::from_str::<Value>(&printed(Format::Json, &list)).unwrap(),
            list
        );
        assert_eq!(
            serde_saphyr::from_str::<Value>(&printed(Format::Yaml, &list)).unwrap(),
            list
        );
        let lines = printed(Format::Jsonl, &list);
        let lines: Vec<Value> = lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(Value::from(lines), list);
        assert_eq!(printed(Format::Name, &list), "ci\ncd\n");
    }

    #[test]
    fn json_is_one_line_in_the_order_the_service_gave() {
        let key = json!({"id": "pck_1", "secret": "pcs_1", "account": "ci"});
        assert_eq!(
            printed(Format::Json, &key),
            "{\"id\":\"pck_1\",\"secret\":\"pcs_1\",\"account\":\"ci\"}\n"
        );
    }

    #[test]
    fn an_empty_list_is_no_data_and_a_remark() {
        let (data, said, mut output) = on_paper(Format::Table, Talk::Normal);
        output
            .answer(&json!([]), &super::super::accounts::VIEW)
            .unwrap();
        assert_eq!(
            (data.text().as_str(), said.text().as_str()),
            ("", "no accounts\n")
        );
    }

    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        for (kind, fails) in [
            (ErrorKind::BrokenPipe, false),
            (ErrorKind::StorageFull, true),
        ] {
            let writers: (Box<dyn Write>, Box<dyn Write>) =
                (Box::new(Refuses(kind)), Box::new(Paper::default()));
            let mut output = Output::to(writers, Format::Table, Talk::Normal, UnixTime::default());
            let result = output.data("x").and_then(|()| output.flush());
            assert_eq!(result.is_err(), fails, "{kind:?}");
            // Dropping must not try again, and must not stop the program.
        }
    }
}
