//! From a credential to a caller, from memory only.
