//! Every spawned task: told to stop, and waited for.
