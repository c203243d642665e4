//! What each step of an authorized request costs, in time. `benches/counts` counts the same steps.

mod pieces;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pieces::{Desk, PIECES};

/// Tokens that take turns.
const TOKENS: usize = 1000;

/// Steps after which the log gets a new buffer.
const BATCH: u64 = 1000;

fn steps(criterion: &mut Criterion) {
    let mut desk = Desk::new(TOKENS);
    let mut group = criterion.benchmark_group("step");
    for (name, piece) in PIECES {
        group.bench_function(name, |bench| {
            bench.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                let mut left = times;
                while left > 0 {
                    desk.rest();
                    let batch = left.min(BATCH);
                    let began = Instant::now();
                    (0..batch).for_each(|_| piece(&mut desk));
                    spent += began.elapsed();
                    left -= batch;
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
