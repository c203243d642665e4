//! Accounts, keys, groups and grants in memory: what the request path reads instead of the store.
