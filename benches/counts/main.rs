//! Takes each step of a request so many times, for a profiler that counts instructions: `counts TIMES`.
//! `run` beside this file reads what comes out, and compares it.

#[path = "../pieces.rs"]
mod pieces;

use pieces::{Desk, PIECES};

/// Tokens that take turns: each costs a signature beforehand, which takes long under a profiler.
const TOKENS: usize = 48;

fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok());
    let times: usize = times.expect("counts TIMES");
    let mut desk = Desk::new(TOKENS);
    for (name, piece) in PIECES {
        desk.rest();
        (0..times).for_each(|_| piece(&mut desk));
        println!("{name}");
    }
}
