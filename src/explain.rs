//! The same decision, told step by step.
