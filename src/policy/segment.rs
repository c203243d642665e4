//! One segment of a template: what it matches, and whether two of them can match the same text.
//!
//! A segment is known by its *shape*: its literals with [`PARAM`] or [`REST`] where a parameter
//! stands. Both are control characters, which no literal and no path holds; so the shape of one
//! segment is also a text that another can be tried on, and that settles which one matches more
//! (`overlap` tells why).

/// Where `{x}` stands in a shape.
pub(super) const PARAM: char = '\u{1}';

/// Where `{x...}` stands in a shape.
pub(super) const REST: char = '\u{2}';

/// A slash inside of a segment, in canonical form. No parameter spans it.
const ENCODED_SLASH: &str = "%2F";

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Exactly this text; empty after a trailing slash.
    Literal(Box<str>),
    /// Literals and parameters in turn.
    Partly(Parts),
    /// `{x}`.
    Param,
    /// `{x...}`: the rest of the path.
    Rest,
}

/// How literal a segment is: the smaller wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Literal,
    Partly,
    Param,
    Rest,
}

/// A partly literal segment: `prefix {x} middle {y} middle {z} suffix`.
///
/// Invariant: at least one of the literals has text, and each of `middles` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    shape: Box<str>,
    prefix: Box<str>,
    middles: Box<[Box<str>]>,
    suffix: Box<str>,
}

/// The first segment of `tail` and what follows its slash, if there is one.
pub(super) fn split(tail: &str) -> (&str, Option<&str>) {
    // Segments are short: counting bytes beats setting up a search.
    let end = tail.bytes().position(|byte| byte == b'/');
    match end.and_then(|end| tail.split_at_checked(end)) {
        Some((head, next)) => (head, next.get(1..)),
        None => (tail, None),
    }
}

impl Segment {
    /// The segment with this shape.
    pub(super) fn of_shape(shape: &str) -> Self {
        let mut literals = shape.split(PARAM);
        let prefix = literals.next().unwrap_or_default();
        let Some(suffix) = literals.next_back() else {
            let is_rest = shape.strip_prefix(REST) == Some("");
            return if is_rest {
                Self::Rest
            } else {
                Self::Literal(shape.into())
            };
        };
        if shape.len() == PARAM.len_utf8() {
            return Self::Param;
        }
        Self::Partly(Parts {
            shape: shape.into(),
            prefix: prefix.into(),
            middles: literals.map(Into::into).collect(),
            suffix: suffix.into(),
        })
    }

    /// How literal the segment is.
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Literal(_) => Class::Literal,
            Self::Partly(_) => Class::Partly,
            Self::Param => Class::Param,
            Self::Rest => Class::Rest,
        }
    }

    /// Says whether `text`, which has no slash, matches; gives the values of the parameters to `value`.
    pub(super) fn walk<'p>(&self, text: &'p str, value: &mut dyn FnMut(&'p str)) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text,
            Self::Partly(parts) => parts.walk(text, value),
            Self::Param => {
                value(text);
                is_value(text)
            }
            Self::Rest => {
                value(text);
                !text.is_empty()
            }
        }
    }

    /// Says whether `text`, which has no slash, matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.walk(text, &mut |_| {})
    }

    /// A text that matches, with `value` for each parameter.
    pub(super) fn filled(&self, value: &str) -> String {
        match self {
            Self::Literal(text) => text.to_string(),
            Self::Partly(parts) => parts.shape.replace(PARAM, value),
            Self::Param | Self::Rest => value.to_owned(),
        }
    }

    /// Texts that match both segments, if any does: one where every parameter has a `value` to itself,
    /// and those where literals of the two overlap, which are texts of another kind.
    pub(super) fn shared(&self, other: &Self, value: &str) -> Vec<String> {
        match (self, other) {
            (Self::Literal(text), segment) | (segment, Self::Literal(text)) => {
                let text = segment.matches(text).then(|| text.to_string());
                text.into_iter().collect()
            }
            (Self::Partly(ours), Self::Partly(theirs)) => ours.shared(theirs, value),
            (Self::Param | Self::Rest, segment) | (segment, Self::Param | Self::Rest) => {
                let text = segment.filled(value);
                let both = self.matches(&text) && other.matches(&text);
                both.then_some(text).into_iter().collect()
            }
        }
    }

    /// Says whether some text without a slash matches both segments.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rest, _) | (_, Self::Rest) | (Self::Param, Self::Param) => true,
            (Self::Literal(text), segment) | (segment, Self::Literal(text)) => {
                segment.matches(text)
            }
            (Self::Partly(parts), segment) | (segment, Self::Partly(parts)) => parts.meets(segment),
        }
    }
}

impl Parts {
    /// How many bytes of the segment are literal. Of two partly literal segments, one of which matches
    /// all the other does and more, the other has the greater weight: the literals of the wider one
    /// all stand in the narrower one, and if nothing else did, their shapes would be equal.
    pub(super) fn weight(&self) -> usize {
        let middles: usize = self.middles.iter().map(|middle| middle.len()).sum();
        self.prefix.len() + middles + self.suffix.len()
    }

    pub(super) fn shape(&self) -> &str {
        &self.shape
    }

    /// How many parameters it holds.
    pub(super) fn params(&self) -> usize {
        self.middles.len() + 1
    }

    /// Says whether `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.walk(text, &mut |_| {})
    }

    /// Says whether some text without a slash matches both this and `segment`.
    pub(super) fn meets(&self, segment: &Segment) -> bool {
        match segment {
            Segment::Literal(text) => self.matches(text),
            Segment::Partly(other) => self.meets_parts(other),
            Segment::Param => !self.shape.contains(ENCODED_SLASH),
            Segment::Rest => true,
        }
    }

    /// Puts every literal as far left as it goes, which leaves the most for those that follow: if the
    /// text can be divided at all, it can be divided so.
    fn walk<'p>(&self, text: &'p str, value: &mut dyn FnMut(&'p str)) -> bool {
        let body = text.strip_prefix(&*self.prefix);
        let Some(mut body) = body.and_then(|body| body.strip_suffix(&*self.suffix)) else {
            return false;
        };
        if !ends_whole(body) {
            return false;
        }
        for middle in &self.middles {
            let Some((before, after)) = divide(body, middle) else {
                return false;
            };
            if !is_value(before) {
                return false;
            }
            value(before);
            body = after;
        }
        value(body);
        is_value(body)
    }

    /// Two such segments have a text in common if their prefixes agree and their suffixes do: after the
    /// longer prefix come the middles of the one, then those of the other, each for a parameter of
    /// the one that does not mind, then the longer suffix. An encoded slash is the exception, since
    /// every parameter minds it: it divides both segments into pieces that have to agree in turn.
    fn meets_parts(&self, other: &Self) -> bool {
        if self.shape.contains(ENCODED_SLASH) || other.shape.contains(ENCODED_SLASH) {
            let (ours, theirs) = (self.pieces(), other.pieces());
            let mut pairs = ours.iter().zip(&theirs);
            return ours.len() == theirs.len() && pairs.all(|(one, two)| one.meets(two));
        }
        let prefixes =
            self.prefix.starts_with(&*other.prefix) || other.prefix.starts_with(&*self.prefix);
        prefixes && (ends_in(&self.suffix, &other.suffix) || ends_in(&other.suffix, &self.suffix))
    }

    /// Texts that match both; as [`Self::meets_parts`] finds that there is one.
    fn shared(&self, other: &Self, value: &str) -> Vec<String> {
        if !self.meets_parts(other) {
            return Vec::new();
        }
        if self.shape.contains(ENCODED_SLASH) {
            let (ours, theirs) = (self.pieces(), other.pieces());
            let mut texts = vec![String::new()];
            for (number, (one, two)) in ours.iter().zip(&theirs).enumerate() {
                let between = if number == 0 { "" } else { ENCODED_SLASH };
                let pieces = one.shared(two, value);
                let longer = |text: &String| -> Vec<String> {
                    let pieces = pieces.iter().take(2);
                    pieces
                        .map(|piece| format!("{text}{between}{piece}"))
                        .collect()
                };
                texts = texts.iter().flat_map(longer).collect();
            }
            return texts;
        }
        let prefix = longer(&self.prefix, &other.prefix);
        let suffix = longer(&self.suffix, &other.suffix);
        let middles = |one: &Self, two: &Self| -> String {
            let middles = one.middles.iter().chain(&two.middles);
            middles.fold(value.to_owned(), |text, middle| {
                format!("{text}{middle}{value}")
            })
        };
        let mut texts = vec![format!("{prefix}{}{suffix}", middles(self, other))];
        // Where a literal of one stands in for a value of the other.
        let starts = (0..suffix.len()).filter(|at| suffix.is_char_boundary(*at));
        let overlapping = starts.filter_map(|at| {
            let (begin, end) = suffix.split_at_checked(at)?;
            prefix.ends_with(begin).then(|| format!("{prefix}{end}"))
        });
        texts.extend(overlapping);
        for one in [self, other] {
            texts.push(one.shape.replace(PARAM, value));
        }
        texts.push(format!("{prefix}{}{suffix}", middles(other, self)));
        texts.retain(|text| self.matches(text) && other.matches(text));
        let mut seen = std::collections::BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        texts
    }

    fn pieces(&self) -> Vec<Segment> {
        let pieces = self.shape.split(ENCODED_SLASH);
        pieces.map(Segment::of_shape).collect()
    }
}

fn longer<'t>(one: &'t str, two: &'t str) -> &'t str {
    if one.len() < two.len() { two } else { one }
}

/// Says whether `text` can be the value of a parameter.
fn is_value(text: &str) -> bool {
    // Hardly a value has an escape: looking for any is much cheaper than looking for this one.
    let escaped = text.bytes().any(|byte| byte == b'%');
    let spans_slash = escaped && text.contains(ENCODED_SLASH);
    !text.is_empty() && !spans_slash
}

/// What stands before and after the first `literal` in `text` that has something before it.
fn divide<'p>(text: &'p str, literal: &str) -> Option<(&'p str, &'p str)> {
    let mut from = 1;
    loop {
        let at = from + text.get(from..)?.find(literal)?;
        let before = text.get(..at)?;
        if ends_whole(before) {
            return Some((before, text.get(at + literal.len()..)?));
        }
        from = at + 1;
    }
}

/// Says whether `text` ends in `suffix`, and not inside of an escape.
fn ends_in(text: &str, suffix: &str) -> bool {
    text.strip_suffix(suffix).is_some_and(ends_whole)
}

/// Says whether `text`, cut off from a longer one, was not cut inside of an escape.
fn ends_whole(text: &str) -> bool {
    let mut last = text.bytes().rev();
    last.next() != Some(b'%') && last.next() != Some(b'%')
}
