//! What operators change and ask: one operation each, the same for every door.
