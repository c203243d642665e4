//! Permissions and dimensions as small numbers, so that a decision compares bits.
//!
//! The numbers belong to one compiled policy. Whatever holds them (grants, routes) is swapped
//! together with that policy, never on its own.

use smallvec::SmallVec;

/// A permission declared by the policy: its position in the policy's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionId(pub u16);

/// A dimension declared by the policy: its position in the policy's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimensionId(pub u16);

/// A set of permissions of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(SmallVec<[u64; 2]>);

impl PermissionSet {
    /// Says whether `permission` is in the set.
    pub fn contains(&self, permission: PermissionId) -> bool {
        let (word, bit) = position(permission);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds `permission`.
    pub fn insert(&mut self, permission: PermissionId) {
        let (word, bit) = position(permission);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Adds everything in `other`.
    pub fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// The permissions, lowest number first.
    pub fn iter(&self) -> impl Iterator<Item = PermissionId> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .filter_map(move |bit| u16::try_from(word * 64 + bit).ok())
                .map(PermissionId)
        })
    }

    /// Says whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }
}

impl FromIterator<PermissionId> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = PermissionId>>(permissions: I) -> Self {
        let mut set = Self::default();
        permissions
            .into_iter()
            .for_each(|permission| set.insert(permission));
        set
    }
}

fn position(permission: PermissionId) -> (usize, u64) {
    (usize::from(permission.0) / 64, 1 << (permission.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let ids = [0, 1, 63, 64, 127, 128, 4000, u16::MAX].map(PermissionId);
        let set: PermissionSet = ids.into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), ids);
        assert!(ids.iter().all(|id| set.contains(*id)));
        assert!(!set.contains(PermissionId(2)) && !set.contains(PermissionId(65)));
        assert!(!set.is_empty() && PermissionSet::default().is_empty());
    }

    #[test]
    fn a_longer_set_extends_a_shorter_one() {
        let mut set: PermissionSet = [PermissionId(1)].into_iter().collect();
        set.extend(&[PermissionId(300)].into_iter().collect());
        assert!(set.contains(PermissionId(1)) && set.contains(PermissionId(300)));
    }
}
