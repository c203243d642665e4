//! The process's own figures, under the names every Prometheus client uses.
//!
//! Read from `/proc/self` when scraped. Where that cannot be read the figures are absent, which is
//! what absent means; a scrape never fails for it.

use std::collections::HashMap;
use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::series::{as_float, family, single};

/// One figure: its name, what it is, how it moves.
type Row = (&'static str, &'static str, MetricType);

const ROWS: [Row; 7] = [
    (
        "process_cpu_seconds_total",
        "CPU time used, user and system, in seconds.",
        MetricType::COUNTER,
    ),
    (
        "process_resident_memory_bytes",
        "Memory held in RAM.",
        MetricType::GAUGE,
    ),
    (
        "process_virtual_memory_bytes",
        "Address space mapped.",
        MetricType::GAUGE,
    ),
    (
        "process_start_time_seconds",
        "When the process started, in seconds since the Unix epoch.",
        MetricType::GAUGE,
    ),
    ("process_threads", "Threads.", MetricType::GAUGE),
    (
        "process_open_fds",
        "File descriptors open.",
        MetricType::GAUGE,
    ),
    (
        "process_max_fds",
        "File descriptors allowed.",
        MetricType::GAUGE,
    ),
];

/// Reads `/proc/self` for each scrape.
pub(super) struct Process {
    descs: Vec<Desc>,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let desc = |(name, help, _): &Row| {
            Desc::new(
                (*name).to_owned(),
                (*help).to_owned(),
                Vec::new(),
                HashMap::new(),
            )
        };
        Ok(Self {
            descs: ROWS.iter().map(desc).collect::<Result<_, _>>()?,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let figures = figures();
        let rows = ROWS.iter().zip(&self.descs).zip(figures);
        rows.filter_map(|(((_, _, kind), desc), figure)| {
            Some(family(desc, *kind, vec![single(*kind, figure?)]))
        })
        .collect()
    }
}

/// The figures of [`ROWS`], in that order.
fn figures() -> [Option<f64>; 7] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the command's name in parentheses and may hold anything, so counting
    // starts after the last one; the first field after it is number 3 of proc(5).
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split(' ').collect();
    let field = |number: usize| -> Option<f64> { fields.get(number - 3)?.trim().parse().ok() };

    let tick = as_float(rustix::param::clock_ticks_per_second());
    let page = as_float(rustix::param::page_size() as u64);
    [
        field(14)
            .zip(field(15))
            .map(|(user, system)| (user + system) / tick),
        field(24).map(|pages| pages * page),
        field(23),
        boot_time()
            .zip(field(22))
            .map(|(boot, start)| boot + start / tick),
        field(20),
        fs::read_dir("/proc/self/fd")
            .ok()
            .map(|fds| as_float(fds.count() as u64)),
        fds_max(),
    ]
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn fds_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_there_and_sane() {
        let [cpu, resident, mapped, start, threads, fds, fds_max] = figures().map(Option::unwrap);
        assert!((0.0..1e6).contains(&cpu));
        assert!((1e6..1e11).contains(&resident) && mapped >= resident);
        assert!(start > 1.7e9, "{start}");
        assert!(threads >= 1.0 && fds >= 3.0 && fds_max >= fds);
    }
}
