//! Which routes the policy's own tests exercise. A refusal counts as much as a permit does: a test
//! that shows who is kept out is one.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::report::{Line, Spot};
use crate::policy::Policy;
use crate::review::Trials;
use crate::words::{Place, Rule};

/// A part of a hundred, as somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
        let number = number.ok().filter(|number| (0.0..=100.0).contains(number));
        number
            .map(Self)
            .ok_or_else(|| "expected a number from 0 to 100".to_owned())
    }
}

/// What tests exercise of the routes.
#[derive(Debug, Serialize)]
pub(super) struct Coverage {
    /// How many routes there are.
    routes: usize,
    /// How many of them some test exercises.
    exercised: usize,
    /// The same in hundredths; 100 where there is no route.
    percent: f64,
    /// How many of them some test gets through, and how many some test is refused by.
    allowed: usize,
    refused: usize,
    /// Those that no test exercises.
    missed: Vec<Missed>,
    #[serde(skip)]
    place: Place,
}

/// A route that no test exercises.
#[derive(Debug, Serialize)]
struct Missed {
    #[serde(flatten)]
    spot: Spot,
    route: String,
}

impl Coverage {
    pub(super) fn of(policy: &Policy, trials: &Trials<'_>) -> Self {
        let (routes, exercised) = (policy.routes.len(), trials.exercised.len());
        let missed = policy.routes.iter();
        let missed = missed.filter(|route| !trials.exercised.contains_key(&route.id));
        let first = policy.routes.first();
        Self {
            routes,
            exercised,
            percent: percent(exercised, routes),
            allowed: trials
                .exercised
                .values()
                .filter(|it| it.allowed > 0)
                .count(),
            refused: trials
                .exercised
                .values()
                .filter(|it| it.refused > 0)
                .count(),
            missed: missed
                .map(|route| Missed {
                    spot: (&route.place).into(),
                    route: route.name.clone(),
                })
                .collect(),
            place: first.map_or_else(
                || Place::whole("policies"),
                |it| Place::whole(&*it.place.file),
            ),
        }
    }

    /// What is wrong with it, if tests are to exercise at least so much.
    pub(super) fn short_of(&self, Percent(least): Percent) -> Option<Line> {
        let message = format!("{self:#}, and at least {least} % is asked for");
        (self.percent < least).then(|| Line::at(&self.place, Rule::CoverageLow, message))
    }
}

/// Rounded down to a tenth, so that 100 is all.
#[expect(
    clippy::cast_precision_loss,
    reason = "there are at most some ten thousand routes"
)]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 100.0;
    }
    (part as f64 * 1000.0 / whole as f64).floor() / 10.0
}

/// Every route that is missed and the sum; the alternate form is the sum alone.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            for missed in &self.missed {
                writeln!(
                    f,
                    "no test: {}: {}",
                    missed.spot,
                    super::printable(&missed.route)
                )?;
            }
        }
        let Self {
            routes,
            exercised,
            percent,
            ..
        } = self;
        write!(
            f,
            "tests exercise {exercised} of {routes} routes ({percent} %)"
        )?;
        if f.alternate() {
            return Ok(());
        }
        let Self {
            allowed, refused, ..
        } = self;
        writeln!(
            f,
            "; {allowed} let some test through, {refused} refuse some test"
        )
    }
}
