//! Plays every case over every protocol that can express it, on a few stages side by side.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::play::{Outcome, is_refused_by_the_library, play};
use super::rows::{Case, Protocol, Row};
use super::stage::{Plan, Stage, plans};

/// Stages of the standard kind, side by side: half of a case is waiting for the log.
const STANDARD_STAGES: usize = 3;

/// What became of the cases of a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    /// Cases, each as often as there are protocols it was played over.
    pub(super) runs: usize,
    /// The protocols any of them was played over.
    pub(super) protocols: Vec<Protocol>,
    /// What was not as the cases say.
    pub(super) faults: Vec<String>,
}

/// The cases of a row on one stage.
struct Job {
    row: String,
    cases: Vec<Case>,
}

/// Plays the cases of all rows.
pub(super) fn run(rows: &[Row]) -> BTreeMap<String, Played> {
    let mut lanes: BTreeMap<String, Vec<Job>> = BTreeMap::new();
    for row in rows {
        let mut by_fixture: BTreeMap<String, Vec<Case>> = BTreeMap::new();
        for case in row.cases() {
            by_fixture
                .entry(case.fixture.clone())
                .or_default()
                .push(case);
        }
        for (fixture, cases) in by_fixture {
            let row = row.id.clone();
            lanes.entry(fixture).or_default().push(Job { row, cases });
        }
    }
    let (plans, played) = (plans(), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for (fixture, jobs) in lanes {
            let plan = plans
                .get(&fixture)
                .unwrap_or_else(|| panic!("`{fixture}` is not in fixtures.yaml"));
            let stages = if fixture == "standard" {
                STANDARD_STAGES
            } else {
                1
            };
            let jobs = std::sync::Arc::new(Mutex::new(jobs));
            for _ in 0..stages {
                let (jobs, played) = (std::sync::Arc::clone(&jobs), &played);
                scope.spawn(move || perform(plan, &jobs, played));
            }
        }
    });
    played.into_inner().expect("no stage panics")
}

fn perform(plan: &Plan, jobs: &Mutex<Vec<Job>>, played: &Mutex<BTreeMap<String, Played>>) {
    let mut stage = Stage::start(plan);
    loop {
        let Some(job) = jobs.lock().expect("nobody panics here").pop() else {
            return;
        };
        let result = perform_job(&mut stage, &job);
        let mut played = played.lock().expect("nobody panics here");
        let of_row = played.entry(job.row).or_default();
        of_row.runs += result.runs;
        of_row.faults.extend(result.faults);
        of_row.protocols.extend(result.protocols);
        of_row.protocols.sort();
        of_row.protocols.dedup();
    }
}

fn perform_job(stage: &mut Stage, job: &Job) -> Played {
    let mut result = Played::default();
    let (mut outcomes, mut resets) = (Vec::new(), 0);
    for case in &job.cases {
        for protocol in case.protocols() {
            result.runs += 1;
            result.protocols.push(protocol);
            let name = format!("{} over {protocol:?}: {}", job.row, case.name());
            match catch_unwind(AssertUnwindSafe(|| play(stage, case, protocol))) {
                Ok(Ok(found)) => {
                    resets += u64::from(is_refused_by_the_library(case, protocol));
                    outcomes.extend(found.into_iter().map(|outcome| (name.clone(), outcome)));
                }
                Ok(Err(faults)) => result
                    .faults
                    .extend(faults.iter().map(|fault| format!("{name}: {fault}"))),
                Err(panic) => {
                    stage.tidy();
                    result.faults.push(format!("{name}: {}", said(&*panic)));
                }
            }
        }
    }
    let countable = job.cases.iter().all(|case| case.few.is_none());
    if result.faults.is_empty() {
        let counted = stage.wait_for_broken(resets);
        if counted != resets {
            let fault = format!("{}: {counted} connections counted for {resets}", job.row);
            result.faults.push(fault);
        }
    }
    // What failed may have left any number of lines.
    if result.faults.is_empty() && countable {
        match catch_unwind(AssertUnwindSafe(|| recorded(stage, &job.row, &outcomes))) {
            Ok(faults) => result.faults.extend(faults),
            Err(panic) => result
                .faults
                .push(format!("{}: {}", job.row, said(&*panic))),
        }
    }
    if !result.faults.is_empty() || !countable {
        stage.catch_up();
    }
    result
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// One line and one count for each answer, with its reason.
fn recorded(stage: &mut Stage, row: &str, outcomes: &[(String, Outcome)]) -> Vec<String> {
    let lines = stage.gateway.decisions_after(stage.logged, outcomes.len());
    stage.logged += lines.len();
    let mut faults = Vec::new();
    if lines.len() != outcomes.len() {
        faults.push(format!(
            "{row}: {} lines were logged for {} answers",
            lines.len(),
            outcomes.len()
        ));
    }
    let mut nameless: BTreeMap<String, i64> = BTreeMap::new();
    let mut by_id = BTreeMap::new();
    for line in &lines {
        let reason = line["portcullis.reason"].as_str().unwrap_or("").to_owned();
        *nameless.entry(reason.clone()).or_default() += 1;
        by_id.insert(
            line["portcullis.request_id"]
                .as_str()
                .unwrap_or("")
                .to_owned(),
            reason,
        );
    }
    for (name, outcome) in outcomes {
        let expected = outcome.reason.clone().unwrap_or_default();
        *nameless.entry(expected.clone()).or_default() -= 1;
        let Some(id) = &outcome.id else { continue };
        match by_id.get(id) {
            None => faults.push(format!("{name}: nothing was logged")),
            Some(reason) if *reason == expected => {}
            Some(reason) => faults.push(format!("{name}: logged as `{reason}`, not `{expected}`")),
        }
    }
    for (reason, off) in nameless.iter().filter(|(_, off)| **off != 0) {
        faults.push(format!("{row}: {off:+} lines with reason `{reason}`"));
    }
    let counted = stage.refusals();
    let mut expected = stage.counted.clone();
    for (_, outcome) in outcomes {
        if let Some(reason) = &outcome.reason {
            *expected.entry(reason.clone()).or_default() += 1;
        }
    }
    if counted != expected {
        faults.push(format!("{row}: counted {counted:?}, not {expected:?}"));
    }
    stage.counted = counted;
    faults
}
