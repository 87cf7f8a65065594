//! What comes from outside is read without harm, whatever it is: seals, pushes, events, commands, lists and presses,
//! made from valid ones by spoiling them, and from noise. Nothing panics, nothing hangs, and nothing genuine comes of a forgery.
//!
//! A few thousand inputs of each kind in every run, millions with `LONG=1`. Each input has a seed of its own: a failure
//! names it, and `FUZZ_SEED=n` begins with that very input.

mod commands;
mod door;
mod lists;
mod mutate;
mod presses;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::kill::Dice;

/// How long one input may take. The machine may be busy with other tests: whoever is late gets a second chance.
const INPUT_MAX: Duration = Duration::from_secs(1);

/// How long nothing may come back before it counts as hung.
const HUNG: Duration = Duration::from_secs(20);

/// What came of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Understood,
    Refused,
}

/// Plays so many inputs; `play` draws one from its dice, has it read, and says what was wrong.
///
/// # Panics
/// With the seed of the input that panicked, hung, took too long or broke a promise; and when nearly all inputs are
/// understood, or nearly none: then they are not worth their name.
fn fuzz(target: &str, inputs: u64, long: u64, play: impl Fn(&mut Dice) -> Result<Read, String> + Send + 'static) {
    let inputs = if std::env::var("LONG").is_ok_and(|long| long == "1") { long } else { inputs };
    let first = Dice::from("FUZZ_SEED").0;
    let at = Arc::new(AtomicU64::new(first));
    let ended = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let worker = std::thread::spawn({
        let (at, ended) = (Arc::clone(&at), Arc::clone(&ended));
        move || {
            let result = (0..inputs).try_fold(0_u64, |understood, number| {
                let seed = first.wrapping_add(number);
                at.store(seed, Ordering::SeqCst);
                let read = once(seed, &play).map_err(|wrong| format!("FUZZ_SEED={seed}: {wrong}"))?;
                Ok::<_, String>(understood + u64::from(read == Read::Understood))
            });
            ended.store(true, Ordering::SeqCst);
            result
        }
    });
    let mut seen = (first, Instant::now());
    while !ended.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
        let seed = at.load(Ordering::SeqCst);
        if seed != seen.0 {
            seen = (seed, Instant::now());
        }
        assert!(seen.1.elapsed() < HUNG, "{target}: hung, FUZZ_SEED={seed}");
    }
    let result = worker.join().expect("panics are caught where they happen");
    let understood = result.unwrap_or_else(|wrong| panic!("{target}: {wrong}"));
    println!("{target}: {inputs} inputs, {understood} understood, in {:?}", began.elapsed());
    let few = inputs / 50;
    assert!((few..=inputs - few).contains(&understood), "{target}: {understood} of {inputs} were understood");
}

fn once(seed: u64, play: &impl Fn(&mut Dice) -> Result<Read, String>) -> Result<Read, String> {
    let mut slow = 0;
    loop {
        let began = Instant::now();
        let played = std::panic::catch_unwind(AssertUnwindSafe(|| play(&mut Dice(seed))));
        let read = played.map_err(|_| "it panicked".to_owned())??;
        if began.elapsed() < INPUT_MAX {
            return Ok(read);
        }
        slow += 1;
        if slow == 3 {
            return Err(format!("it took {:?}", began.elapsed()));
        }
    }
}

fn promise(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}
