//! nginx: `location` blocks with `auth_request` and `proxy_pass`.
//!
//! A small reader of its grammar: words, quotes, `;`, `{` and `}`. It knows the directives that say which
//! paths are forwarded and who may call them; of the others, those that change that are reported.

use std::path::Path;
use std::sync::Arc;

use super::pieces::{self, Piece, Templates};
use super::{Asks, Found, resource_of};
use crate::import::draft::Draft;
use crate::words::{Fault, Method, MethodSet, Place};
use crate::yaml::quoted;

/// Most blocks inside of each other; nginx itself reads no more than a few.
const DEPTH_MAX: usize = 32;
/// Most directives of one file.
const DIRECTIVES_MAX: usize = 100_000;

/// A directive: its words, and what stands in its block.
#[derive(Debug)]
struct Directive {
    place: Place,
    words: Vec<String>,
    block: Vec<Self>,
}

impl Directive {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", String::as_str)
    }
}

/// What holds in a block unless it says otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Inherited {
    authenticated: bool,
}

/// Reads every location that is forwarded.
pub(super) fn read(file: &Arc<Path>, text: &str, draft: &mut Draft) -> Result<(), Fault> {
    let directives = parse(file, text)?;
    walk(&directives, Inherited::default(), draft);
    Ok(())
}

/// Reads the directives of one block. As deep as [`parse`] lets blocks be.
fn walk(directives: &[Directive], outer: Inherited, draft: &mut Draft) {
    let own = directives.iter().find(|it| it.name() == "auth_request");
    let inner = Inherited {
        authenticated: own.map_or(outer.authenticated, |it| it.word(1) != "off"),
    };
    for directive in directives {
        remark(directive, draft);
        match directive.name() {
            "http" | "server" => walk(&directive.block, inner, draft),
            "location" => {
                location(directive, inner, draft);
                walk(&directive.block, inner_of(directive, inner), draft);
            }
            _ => {}
        }
    }
}

fn inner_of(directive: &Directive, outer: Inherited) -> Inherited {
    let own = directive
        .block
        .iter()
        .find(|it| it.name() == "auth_request");
    Inherited {
        authenticated: own.map_or(outer.authenticated, |it| it.word(1) != "off"),
    }
}

/// Says what a directive does that is not carried over.
fn remark(directive: &Directive, draft: &mut Draft) {
    let shown = directive.words.join(" ");
    let shown = quoted(&shown);
    let message = match directive.name() {
        "include" => format!("{shown} is not read: import that file, too"),
        "auth_request" if directive.word(1) != "off" => {
            "what the service behind `auth_request` decides is not known here: routes ask for permissions, give them by roles".to_owned()
        }
        "auth_basic" => format!("{shown} is not carried over: callers show a token or key of Portcullis, make accounts for them"),
        "allow" | "deny" => format!("{shown} is not carried over: addresses are an account's, `allow_from`"),
        "satisfy" => format!("{shown} is not carried over: here everything that is asked has to be satisfied"),
        "rewrite" => format!("{shown} is not carried over: paths are forwarded as they come"),
        "if" => format!("{shown} is not carried over: nothing of what stands in its block is read"),
        "auth_request_set" | "proxy_set_header" => format!("{shown} is not carried over: the upstream is told who calls in `X-Portcullis-Account`"),
        "server_name" => format!("{shown}: the routes answer on any host, say `hosts` in a policy file of its own"),
        _ => return,
    };
    draft.notes.once(|| directive.place.clone(), message);
}

fn location(directive: &Directive, outer: Inherited, draft: &mut Draft) {
    let has = |name: &str| directive.block.iter().any(|it| it.name() == name);
    let shown = directive.words.join(" ");
    if has("internal") || directive.word(1).starts_with('@') {
        return; // Nobody calls it from outside.
    }
    let Some(pass) = directive.block.iter().find(|it| it.name() == "proxy_pass") else {
        if !directive.block.iter().any(|it| it.name() == "location") {
            let message = format!(
                "{} is not carried over: it has no `proxy_pass`, and what does not go to an upstream is not served here",
                quoted(&shown)
            );
            draft.notes.push(directive.place.clone(), message);
        }
        return;
    };
    let target = pass.word(1);
    let path = target.split_once("://").map_or("", |(_, rest)| rest);
    let message = format!(
        "{} leads to {}: say it as the `url` of an upstream in portcullis.yaml",
        quoted(&shown),
        quoted(target)
    );
    draft.notes.push(pass.place.clone(), message);
    if path.contains('/') && !target.contains("unix:") {
        let message = format!(
            "{}: the path of its `proxy_pass` does not replace that of the location: paths are forwarded as they come",
            quoted(&shown)
        );
        draft.notes.push(pass.place.clone(), message);
    }
    let templates = match templates(directive) {
        Ok(templates) => templates,
        Err(why) => {
            let message = format!(
                "{} is not carried over: {why}; write its route by hand",
                quoted(&shown)
            );
            draft.notes.push(directive.place.clone(), message);
            return;
        }
    };
    for remark in templates.remarks {
        let message = format!("{}: {remark}", quoted(&shown));
        draft.notes.push(directive.place.clone(), message);
    }
    let resource = resource_of(templates.list.first().map_or("", String::as_str));
    let asks = if inner_of(directive, outer).authenticated {
        Asks::Resource(resource)
    } else {
        Asks::Nothing
    };
    let found = Found {
        place: &directive.place,
        id: None,
        methods: methods(directive),
        templates: templates.list,
        asks,
    };
    super::add(&found, draft);
}

/// The methods that `limit_except` leaves, or those in common use.
fn methods(directive: &Directive) -> MethodSet {
    let limit = directive
        .block
        .iter()
        .find(|it| it.name() == "limit_except");
    let closed = |it: &&Directive| {
        it.block
            .iter()
            .any(|it| it.name() == "deny" && it.word(1) == "all")
    };
    if let Some(limit) = limit.filter(closed) {
        let mut set: MethodSet = limit
            .words
            .iter()
            .filter_map(|it| Method::parse(it))
            .collect();
        if set.contains(Method::Get) {
            set = set.with(Method::Head);
        }
        return set;
    }
    let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    usual.into_iter().filter_map(Method::parse).collect()
}

fn templates(directive: &Directive) -> Result<Templates, String> {
    match (directive.word(1), directive.word(2)) {
        ("=", path) => pieces::templates(&[Piece::Literal(path.to_owned())]),
        ("~", regex) => of_regex(regex),
        ("~*", regex) => {
            let mut found = of_regex(regex)?;
            found.remarks.push("it ignores case, and its route does not: say `case_insensitive: true` of an upstream that does".to_owned());
            Ok(found)
        }
        ("^~", path) | (path, "") => {
            pieces::templates(&[Piece::Literal(path.to_owned()), Piece::Rest(true)])
        }
        _ => Err("it is of no form that is known".to_owned()),
    }
}

fn of_regex(regex: &str) -> Result<Templates, String> {
    let (pieces, remarks) = pieces::of_regex(regex)?;
    let mut found = pieces::templates(&pieces)?;
    found.remarks.splice(0..0, remarks);
    Ok(found)
}

/// The directives of `text`.
#[expect(clippy::too_many_lines, reason = "a list of cases, each a line or two")]
fn parse(file: &Arc<Path>, text: &str) -> Result<Vec<Directive>, Fault> {
    let mut open: Vec<Directive> = Vec::new();
    let mut done: Vec<Directive> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut start: Option<Place> = None;
    let mut count = 0;
    let mut scanner = Scanner::new(file, text);
    while let Some((place, token)) = scanner.next()? {
        let ends = match token {
            Token::Word(word) => {
                start.get_or_insert(place);
                words.push(word);
                continue;
            }
            Token::End | Token::Open => true,
            Token::Close => false,
        };
        let level = open.last_mut().map_or(&mut done, |it| &mut it.block);
        if ends {
            count += 1;
            if count > DIRECTIVES_MAX {
                return Err(Fault::new(
                    place,
                    format!("more than {DIRECTIVES_MAX} directives: split the file"),
                ));
            }
            let directive = Directive {
                place: start.take().unwrap_or(place.clone()),
                words: std::mem::take(&mut words),
                block: Vec::new(),
            };
            if token == Token::End {
                level.push(directive);
            } else if open.len() >= DEPTH_MAX {
                return Err(Fault::new(
                    place,
                    format!("nested deeper than {DEPTH_MAX} blocks"),
                ));
            } else {
                open.push(directive);
            }
            continue;
        }
        let Some(closed) = open.pop().filter(|_| words.is_empty()) else {
            return Err(Fault::new(
                place,
                "this is not nginx: `}` closes nothing, or a `;` is missing before it",
            ));
        };
        open.last_mut()
            .map_or(&mut done, |it| &mut it.block)
            .push(closed);
    }
    match open.pop() {
        Some(directive) => Err(Fault::new(
            directive.place,
            "this is not nginx: the block that begins here is not closed",
        )),
        None if !words.is_empty() => Err(Fault::new(
            start.unwrap_or_else(|| Place::whole(&**file)),
            "this is not nginx: the directive that begins here has no end, `;`",
        )),
        None => Ok(done),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Scanner<'t> {
    file: &'t Arc<Path>,
    left: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    column: usize,
}

impl<'t> Scanner<'t> {
    fn new(file: &'t Arc<Path>, text: &'t str) -> Self {
        Self {
            file,
            left: text.chars().peekable(),
            line: 1,
            column: 1,
        }
    }

    fn place(&self) -> Place {
        Place {
            file: Arc::clone(self.file),
            line: self.line,
            column: self.column,
        }
    }

    fn take(&mut self) -> Option<char> {
        let next = self.left.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    /// The next token, and where it begins.
    fn next(&mut self) -> Result<Option<(Place, Token)>, Fault> {
        loop {
            match self.left.peek() {
                None => return Ok(None),
                Some(c) if c.is_whitespace() => drop(self.take()),
                Some('#') => while self.take().is_some_and(|c| c != '\n') {},
                Some(_) => break,
            }
        }
        let place = self.place();
        let token = match self.left.peek().copied() {
            Some(';') => Token::End,
            Some('{') => Token::Open,
            Some('}') => Token::Close,
            Some(quote @ ('"' | '\'')) => {
                self.take();
                return Ok(Some((place.clone(), self.quoted(&place, quote)?)));
            }
            Some(_) | None => return Ok(Some((place, self.word()))),
        };
        self.take();
        Ok(Some((place, token)))
    }

    fn quoted(&mut self, place: &Place, quote: char) -> Result<Token, Fault> {
        let mut word = String::new();
        while let Some(next) = self.take() {
            match next {
                '\\' if self.left.peek() == Some(&quote) => word.extend(self.take()),
                _ if next == quote => return Ok(Token::Word(word)),
                _ => word.push(next),
            }
        }
        Err(Fault::new(
            place.clone(),
            "this is not nginx: a quote is not closed",
        ))
    }

    /// A word without quotes. A `{` inside of one is part of it, as in a variable or a pattern.
    fn word(&mut self) -> Token {
        let mut word = String::new();
        while let Some(next) = self.left.peek().copied() {
            if next.is_whitespace() || next == ';' || (next == '{' && !word.ends_with('$')) {
                break;
            }
            word.extend(self.take());
            match next {
                '{' => self.rest_of_name(&mut word),
                '\\' if self.goes_on() => word.extend(self.take()),
                _ => {}
            }
        }
        Token::Word(word)
    }

    /// Reads on to the `}` of `${name}`.
    fn rest_of_name(&mut self, word: &mut String) {
        while self.goes_on() {
            let next = self.take();
            word.extend(next);
            if next == Some('}') {
                break;
            }
        }
    }

    /// Says whether what comes next is still of the same word.
    fn goes_on(&mut self) -> bool {
        let next = self.left.peek();
        next.is_some_and(|c| !c.is_whitespace() && *c != ';')
    }
}
