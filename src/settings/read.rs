//! Rough; follows.
