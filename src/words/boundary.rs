//! Where a grant holds, as written: `within: { tenant: [acme] }`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::DimensionName;

/// Values per dimension. Empty means everywhere. A dimension that is not mentioned is not limited;
/// one that is mentioned lists at least one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boundary(BTreeMap<DimensionName, BTreeSet<String>>);

impl Boundary {
    /// Says whether nothing is limited.
    pub fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one value of one dimension.
    pub fn insert(&mut self, dimension: DimensionName, value: String) {
        self.0.entry(dimension).or_default().insert(value);
    }

    /// The dimensions that are limited, with their values, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&DimensionName, &BTreeSet<String>)> {
        self.0.iter()
    }
}

impl FromIterator<(DimensionName, String)> for Boundary {
    fn from_iter<I: IntoIterator<Item = (DimensionName, String)>>(pairs: I) -> Self {
        let mut boundary = Self::default();
        pairs
            .into_iter()
            .for_each(|(dimension, value)| boundary.insert(dimension, value));
        boundary
    }
}

/// `everywhere`, or `tenant acme, globex; site 7`.
impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everywhere() {
            return f.write_str("everywhere");
        }
        for (place, (dimension, values)) in self.0.iter().enumerate() {
            let values = values
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            write!(
                f,
                "{}{dimension} {values}",
                if place > 0 { "; " } else { "" }
            )?;
        }
        Ok(())
    }
}
