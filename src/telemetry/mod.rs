//! Metrics, logs, and the ops port.
