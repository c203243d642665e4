//! Wires the parts together once; owns the order of start and stop.
