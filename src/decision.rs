//! The decision: pure, and the only maker of a permit.
