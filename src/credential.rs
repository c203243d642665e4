//! What the caller presented: nothing, a bearer token, or a key.
