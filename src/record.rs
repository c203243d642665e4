//! What happened to a request becomes one log line and a few counters.
