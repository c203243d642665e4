//! The fuzzer: libFuzzer around one target, which the environment names.
//!
//! One binary for all, because each would link the whole gateway.

#![no_main]

use std::sync::LazyLock;

// The targets reach for these where the tests' own binary has them.
#[path = "../../../agreement"]
mod agreement {
    pub(crate) mod laws;
}
#[path = "../../../../src/policy/oracle.rs"]
mod oracle;
#[path = "../../targets/mod.rs"]
mod targets;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let wanted = std::env::var("PORTCULLIS_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    let known: Vec<_> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    found
        .unwrap_or_else(|| panic!("PORTCULLIS_FUZZ_TARGET is `{wanted}`, not one of {known:?}"))
        .1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
