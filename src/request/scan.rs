//! One pass over a path: its canonical form, and the classes it shows.
//!
//! Escapes are judged by what they spell. Dots are looked for between everything that anybody could
//! take for the end of a segment (`/`, `%2F`, `\`, `;`, `%3F`…), because no reader may ever be led
//! to climb, whatever else is allowed; emptiness only between slashes, because `%2F` alone is a
//! common name where `%2F` is allowed at all.
//!
//! Not here: the query, except for what could not be sent at all.

use super::Ambiguous;
use crate::words::{ClassSet, PathClass};

/// What a path turned out to be.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The classes it shows.
    pub(super) classes: ClassSet,
    /// Its canonical form, if it is not the path itself.
    pub(super) canonical: Option<String>,
}

/// Reads `path`, which starts with `/`.
///
/// # Errors
///
/// The first class that is not in `allowed`, or that nobody may allow.
pub(super) fn scan(path: &str, allowed: ClassSet) -> Result<Scanned, Ambiguous> {
    let mut scan = Scan {
        path: path.as_bytes(),
        allowed: allowed.minus(NEVER),
        classes: ClassSet::EMPTY,
        canonical: String::new(),
        copied: 0,
        part: Part::Empty,
        segment: Segment::Empty,
    };
    let mut at = 1;
    while let Some(&byte) = scan.path.get(at) {
        at = match kind(byte) {
            Kind::Plain => {
                scan.name();
                at + 1 + scan.plain_run(at + 1)
            }
            Kind::Dot => {
                scan.dot();
                at + 1
            }
            Kind::Slash => {
                scan.slash()?;
                at + 1
            }
            Kind::Percent => scan.escape(at)?,
            Kind::Semicolon => {
                scan.semicolon()?;
                at + 1
            }
            Kind::Backslash => {
                scan.boundary(PathClass::Backslash)?;
                at + 1
            }
            Kind::Hash => return refuse(PathClass::Fragment),
            Kind::Control => return refuse(PathClass::Control),
            Kind::Raw => return refuse(PathClass::RawCharacter),
        };
    }
    scan.finish()
}

/// The first thing in a query that could not be sent.
pub(super) fn fault_of_query(query: &str) -> Option<PathClass> {
    query.bytes().find_map(|byte| match byte {
        b'#' => Some(PathClass::Fragment),
        0..=0x1f | 0x7f => Some(PathClass::Control),
        b' ' | b'"' | b'<' | b'>' => Some(PathClass::RawCharacter),
        _ => None,
    })
}

struct Scan<'p> {
    path: &'p [u8],
    allowed: ClassSet,
    classes: ClassSet,
    /// The canonical form of `path[..copied]`; empty as long as nothing had to change.
    canonical: String,
    copied: usize,
    part: Part,
    segment: Segment,
}

/// What stands since the last thing that anybody could take for the end of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Empty,
    Dot,
    DotDot,
    Name,
}

/// What stands since the last slash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    /// Nothing but parameters, `;x`: empty to a reader that cuts those off.
    Nameless,
    Named,
}

impl Scan<'_> {
    fn name(&mut self) {
        self.part = Part::Name;
        self.fill();
    }

    fn dot(&mut self) {
        self.part = match self.part {
            Part::Empty => Part::Dot,
            Part::Dot => Part::DotDot,
            Part::DotDot | Part::Name => Part::Name,
        };
        self.fill();
    }

    fn fill(&mut self) {
        if self.segment == Segment::Empty {
            self.segment = Segment::Named;
        }
    }

    fn slash(&mut self) -> Result<(), Ambiguous> {
        self.no_dots()?;
        if self.segment != Segment::Named {
            self.show(PathClass::EmptySegment)?;
        }
        self.part = Part::Empty;
        self.segment = Segment::Empty;
        Ok(())
    }

    fn semicolon(&mut self) -> Result<(), Ambiguous> {
        if self.segment == Segment::Empty {
            self.segment = Segment::Nameless;
        }
        self.boundary(PathClass::Semicolon)
    }

    /// Something of `class` that is the end of a segment to some.
    fn boundary(&mut self, class: PathClass) -> Result<(), Ambiguous> {
        self.fill();
        self.show(class)?;
        self.no_dots()?;
        self.part = Part::Empty;
        Ok(())
    }

    fn no_dots(&mut self) -> Result<(), Ambiguous> {
        match self.part {
            Part::Dot | Part::DotDot => self.show(PathClass::DotSegment),
            Part::Empty | Part::Name => Ok(()),
        }
    }

    /// Reads the escape at `at`; says where to go on.
    fn escape(&mut self, at: usize) -> Result<usize, Ambiguous> {
        let Some(byte) = escaped(self.path, at) else {
            return refuse(PathClass::BadEscape);
        };
        match byte {
            b'.' => self.dot(),
            b'/' => self.boundary(PathClass::EncodedSlash)?,
            b'\\' => self.boundary(PathClass::Backslash)?,
            b'?' | b'#' => self.boundary(PathClass::EncodedDelimiter)?,
            b';' => self.semicolon()?,
            b'%' => {
                self.show(PathClass::EncodedPercent)?;
                self.name();
            }
            0..=0x1f | 0x7f => return refuse(PathClass::Control),
            0x80.. => return self.escaped_character(at, byte),
            _ => self.name(),
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            self.replace(at, char::from(byte));
        } else {
            self.upper_case(at);
        }
        Ok(at + 3)
    }

    /// Reads the escapes from `at` on that spell one character beyond ASCII, `lead` being the first.
    fn escaped_character(&mut self, at: usize, lead: u8) -> Result<usize, Ambiguous> {
        let escapes = match character(self.path, at, lead) {
            Some(character) if character.is_control() => return refuse(PathClass::Control),
            Some(character) => character.len_utf8(),
            None => {
                self.show(PathClass::NonUtf8)?;
                1
            }
        };
        self.name();
        let end = at + 3 * escapes;
        for escape in (at..end).step_by(3) {
            self.upper_case(escape);
        }
        Ok(end)
    }

    /// Puts `character` for the escape at `at`.
    fn replace(&mut self, at: usize, character: char) {
        self.copy_up_to(at);
        self.canonical.push(character);
        self.copied = at + 3;
    }

    /// Writes the escape at `at` in upper case, if it is not.
    fn upper_case(&mut self, at: usize) {
        let Some([_, high, low]) = self.path.get(at..at + 3) else {
            return;
        };
        if high.is_ascii_lowercase() || low.is_ascii_lowercase() {
            let digits = [*high, *low].map(|digit| char::from(digit.to_ascii_uppercase()));
            self.copy_up_to(at);
            self.canonical.push('%');
            self.canonical.extend(digits);
            self.copied = at + 3;
        }
    }

    fn copy_up_to(&mut self, at: usize) {
        if self.copied == 0 {
            self.canonical.reserve(self.path.len());
        }
        // What was scanned so far is ASCII: everything else is refused when it is met.
        let scanned = self.path.get(self.copied..at).unwrap_or_default();
        self.canonical
            .extend(scanned.iter().copied().map(char::from));
        self.copied = at;
    }

    fn plain_run(&self, from: usize) -> usize {
        self.path.get(from..).map_or(0, |rest| {
            rest.iter()
                .take_while(|byte| kind(**byte) == Kind::Plain)
                .count()
        })
    }

    fn show(&mut self, class: PathClass) -> Result<(), Ambiguous> {
        if !self.allowed.contains(class) {
            return refuse(class);
        }
        self.classes = self.classes.with(class);
        Ok(())
    }

    fn finish(mut self) -> Result<Scanned, Ambiguous> {
        self.no_dots()?;
        let changed = self.copied > 0;
        if changed {
            self.copy_up_to(self.path.len());
        }
        Ok(Scanned {
            classes: self.classes,
            canonical: changed.then_some(self.canonical),
        })
    }
}

fn refuse<T>(class: PathClass) -> Result<T, Ambiguous> {
    Err(Ambiguous { class })
}

/// What the escape at `at` spells, if there is one.
fn escaped(path: &[u8], at: usize) -> Option<u8> {
    let Some([b'%', high, low]) = path.get(at..at + 3) else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// The character beyond ASCII that the escapes from `at` on spell in UTF-8, the first of them being
/// `lead`.
fn character(path: &[u8], at: usize, lead: u8) -> Option<char> {
    let width = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut spelt = [0; 4];
    let spelt = spelt.get_mut(..width)?;
    for (place, byte) in spelt.iter_mut().enumerate() {
        *byte = escaped(path, at + 3 * place)?;
    }
    std::str::from_utf8(spelt).ok()?.chars().next()
}

/// What a raw byte of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Means itself to everybody.
    Plain,
    Dot,
    Slash,
    Percent,
    Semicolon,
    Backslash,
    Hash,
    Control,
    /// Not allowed by RFC 3986.
    Raw,
}

fn kind(byte: u8) -> Kind {
    // 256 entries have one for every byte; `Raw` is what the compiler wants to hear.
    KINDS.get(usize::from(byte)).copied().unwrap_or(Kind::Raw)
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Raw; 256];
    let mut byte = 0_u8;
    let mut rest: &mut [Kind] = &mut kinds;
    while let Some((kind, tail)) = rest.split_first_mut() {
        *kind = kind_of(byte);
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    kinds
};

/// RFC 3986, 3.3: a segment is made of `pchar`s.
const fn kind_of(byte: u8) -> Kind {
    match byte {
        b'/' => Kind::Slash,
        b'.' => Kind::Dot,
        b'%' => Kind::Percent,
        b';' => Kind::Semicolon,
        b'\\' => Kind::Backslash,
        b'#' => Kind::Hash,
        0..=0x1f | 0x7f => Kind::Control,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Kind::Plain,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' => Kind::Plain,
        b':' | b'@' => Kind::Plain,
        _ => Kind::Raw,
    }
}

/// The classes that are refused whatever is allowed. `dot_segment` is not among them: nobody can list
/// it, and shadow mode may let it through.
const NEVER: ClassSet = {
    let mut never = ClassSet::EMPTY;
    let mut rest = PathClass::ALL;
    while let Some((class, tail)) = rest.split_first() {
        if !class.is_shadowable() {
            never = never.with(*class);
        }
        rest = tail;
    }
    never
};
