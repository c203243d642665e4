//! What outlives the process: the promises, and the stores that keep them.
