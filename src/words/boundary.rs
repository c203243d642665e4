//! Where a grant holds, as written: `within: { tenant: [acme] }`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::DimensionName;

/// Values per dimension. Empty means everywhere. A dimension that is not mentioned is not limited;
/// one that is mentioned lists at least one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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

/// A dimension that stands twice is refused: of two readers one might take the first, one the last.
impl<'de> Deserialize<'de> for Boundary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Dimensions)
    }
}

struct Dimensions;

impl<'de> Visitor<'de> for Dimensions {
    type Value = Boundary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dimensions, each with a list of values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Boundary, A::Error> {
        let mut boundary = Boundary::default();
        while let Some(dimension) = map.next_key::<DimensionName>()? {
            if boundary.0.contains_key(&dimension) {
                let said = format!("dimension `{dimension}` stands twice");
                return Err(A::Error::custom(said));
            }
            let values = map.next_value()?;
            boundary.0.insert(dimension, values);
        }
        Ok(boundary)
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
