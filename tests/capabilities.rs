//! What the product can do, one module a capability. All of them are one binary, so that the suite
//! links once.

mod agreement;
mod github;
mod harness;
