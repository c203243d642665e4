//! Coming, changing and going: a good edit is live within two seconds and a bad one changes
//! nothing, whoever goes says so first and finishes what he began, and nobody takes what another
//! one holds.

mod leaving;
mod reload;
mod starting;

use std::time::{Duration, Instant};

use crate::harness::{Gateway, PATIENCE};

/// Waits until `done`, and says how long that took.
fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

/// The value of a metric without labels.
fn metric(gateway: &Gateway, name: &str) -> String {
    let scrape = gateway.ops("/metrics");
    let line = scrape.text().lines().find_map(|line| {
        let value = line.strip_prefix(name)?;
        value.strip_prefix(' ')
    });
    line.unwrap_or_else(|| panic!("no `{name}` in {}", scrape.text()))
        .to_owned()
}
