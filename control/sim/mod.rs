//! The simulation: control's store, rules and jobs against the agent's custody, fence and wipe, under a seeded world.
//!
//! ```text
//!   people.rs ──► control_side.rs ◄── network.rs ──► agent_side.rs ──► the device (what is really on it)
//!   operators.rs       │ store, domain, jobs             │ host_agent::{custody, fence, reset}   work.rs, phone.rs
//!   set_backs.rs       │                                 │                                       presence.rs
//!   replicas.rs        │ sweeps.rs                       │     some worlds have two controls on the one store
//!                      └─ world.rs, chance.rs, rest.rs ──┘   one event after the other, in virtual time
//!                 connections.rs, invariants.rs, stays.rs    looked at after every event
//!                                 mutants.rs                 each has to break one of them
//! ```
//!
//! A world knows nothing but its seed: the same seed gives the same world. It is not a proof of SQLite's
//! durability or of the disk: a transaction or a fence is there or not, never half (their own tests show
//! that). Control dies between a commit and what follows from it, the agent between any two effects.
//!
//! A seed that fails is printed with its command: `FARGLASS_SIM_SEED=N` replays that one and tells every event.
//! `FARGLASS_SIM_SEEDS=N` is how many seeds there are, `FARGLASS_SIM_MUTANT=NAME` breaks one rule in all of them.

mod agent_side;
mod chance;
mod connections;
mod control_side;
mod cores;
mod dice;
mod ground;
mod invariants;
mod mutants;
mod network;
mod operators;
mod people;
mod phone;
mod presence;
mod replicas;
mod rest;
mod set_backs;
mod stays;
mod sweeps;
mod violation;
mod work;
mod world;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use ground::Ground;
use mutants::{BREAKS, Mutant};
use violation::{Eyes, Invariant, Violation};
use world::World;

/// Seeds of the correct rules in one run: 175 a second were measured on two cores beside other work.
const SEEDS: u64 = 20_000;
/// No mutant may live longer than this many seeds: the last one died at the 380th, all of them within ten seconds.
const SEEDS_OF_A_MUTANT: u64 = 2_000;
/// Seeds that are lived twice, on other grounds.
const SEEDS_AGAIN: u64 = 60;
/// First seed of a run.
const FIRST: u64 = 1;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the worlds of one run have in common.
#[derive(Clone, Copy)]
struct Rules {
    mutant: Option<Mutant>,
    eyes: Eyes,
    tell: bool,
}

const CORRECT: Rules = Rules {
    mutant: None,
    eyes: Eyes::All,
    tell: false,
};

/// Lives one seed after the other on one ground: where the dice of each came to lie, up to the first one that breaks
/// an invariant.
fn run(seeds: impl Iterator<Item = u64>, rules: Rules) -> (Vec<u64>, Option<(u64, Violation)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ground = Ground::new().await;
        let mut ends = Vec::new();
        for seed in seeds {
            let _lived = Lived { seed, rules };
            match World::new(&ground, seed, rules).await.live().await {
                Ok(end) => ends.push(end),
                Err(violation) => return (ends, Some((seed, violation))),
            }
        }
        (ends, None)
    })
}

/// The seed that is lived. Code that panics in its world ends the run as an invariant does that breaks: the seed is said.
struct Lived {
    seed: u64,
    rules: Rules,
}

impl Drop for Lived {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!(
                "seed {}: a panic\n{}\n",
                self.seed,
                replay(self.seed, self.rules)
            ));
        }
    }
}

/// How a seed is lived again.
fn replay(seed: u64, rules: Rules) -> String {
    let under = rules
        .mutant
        .map(|mutant| format!("FARGLASS_SIM_MUTANT={mutant:?} "));
    format!(
        "replay: FARGLASS_SIM_SEED={seed} {}cargo nextest run -p control -E 'test(no_seed_breaks_an_invariant)' --no-capture",
        under.unwrap_or_default()
    )
}

fn say(text: &str) {
    // Nobody may be listening.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[test]
fn no_seed_breaks_an_invariant() {
    let rules = Rules {
        mutant: chosen(),
        ..CORRECT
    };
    if let Some(seed) = number("FARGLASS_SIM_SEED") {
        if let (_, Some((_, violation))) = run(seed..=seed, Rules { tell: true, ..rules }) {
            panic!("{violation}");
        }
        return;
    }
    let (start, seeds) = (Instant::now(), number("FARGLASS_SIM_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(FIRST);
    let draw = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < FIRST + seeds);
    let broken = cores::on_each(|| run(std::iter::from_fn(draw), rules).1);
    if let Some((seed, violation)) = broken.into_iter().flatten().min_by_key(|(seed, _)| *seed) {
        panic!("seed {seed}: {violation}\n{}", replay(seed, rules));
    }
    let took = start.elapsed();
    let rate = seeds as f64 / took.as_secs_f64();
    say(&format!("{seeds} seeds in {took:?}, {rate:.0} a second\n"));
}

/// The one mutant that is asked for.
fn chosen() -> Option<Mutant> {
    let name = std::env::var("FARGLASS_SIM_MUTANT").ok()?;
    let found = Mutant::ALL.iter().find(|mutant| format!("{mutant:?}") == name);
    Some(*found.unwrap_or_else(|| panic!("no mutant is called {name}")))
}

#[test]
fn every_mutant_breaks_its_invariant() {
    let only = chosen();
    let next = AtomicUsize::new(0);
    let told = cores::on_each(|| {
        let (mut report, mut alive) = (String::new(), Vec::new());
        while let Some((mutant, invariant)) = BREAKS.get(next.fetch_add(1, Ordering::Relaxed)) {
            if only.is_some_and(|only| only != *mutant) {
                continue;
            }
            let rules = Rules {
                mutant: Some(*mutant),
                eyes: Eyes::Only(*invariant),
                tell: false,
            };
            let row = format!("{mutant:?} {invariant:?}");
            match run(FIRST..FIRST + SEEDS_OF_A_MUTANT, rules).1 {
                Some((seed, Violation::Broken(which, what))) if which == *invariant => {
                    let _ = writeln!(report, "{row}: seed {seed}: {what}");
                }
                Some((seed, other)) => alive.push(format!("{row}: at seed {seed} only {other}")),
                None => alive.push(row),
            }
        }
        (report, alive)
    });
    let (report, alive): (Vec<_>, Vec<_>) = told.into_iter().unzip();
    say(&report.concat());
    let alive = alive.concat();
    assert!(alive.is_empty(), "alive: {alive:#?}");
}

#[test]
fn every_invariant_has_a_mutant_and_every_mutant_an_invariant() {
    for invariant in Invariant::ALL {
        let found = BREAKS.iter().any(|(_, broken)| broken == invariant);
        assert!(found, "{invariant:?} has no mutant");
    }
    for mutant in Mutant::ALL {
        let found = BREAKS.iter().any(|(breaks, _)| breaks == mutant);
        assert!(found, "{mutant:?} breaks nothing");
    }
}

#[test]
fn a_seed_gives_the_same_world_again() {
    let seeds = || FIRST..FIRST + SEEDS_AGAIN;
    // Backwards, so that each comes after other worlds than before.
    let (there, back) = (run(seeds(), CORRECT).0, run(seeds().rev(), CORRECT).0);
    let back: Vec<u64> = back.into_iter().rev().collect();
    assert_eq!(there.len(), SEEDS_AGAIN as usize);
    assert_eq!(there, back);
}
