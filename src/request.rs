//! The target of a request: a path with one meaning.
