//! The token endpoint, and the tokens it makes.
