//! Decide, act, record: the whole product on one screen.
