//! Whether the time of an answer tells a prober anything about tokens:
//!
//! ```text
//!   cargo run --release -p control --example prober -- sqlite 5000        or postgres; so many of each kind
//!
//!   prober ── POST /api/v1/launch/describe { token } ──► control: SHA-256, then one look by the hash
//!     never was ×2 · all but the last character of a real one · revoked · good          in shuffled rounds, one each
//! ```
//!
//! The two kinds that never were are the measure of what is chance. What tells is Welch's t of each kind against the first,
//! without the slowest twentieth of all, which is the machine's: beyond 4.5 two means differ. A token that is nearly right must
//! not be told from one that is not; one that was revoked is told by the answer itself (410 and not 404), and nobody has it
//! who was not given it. It measures; it promises nothing.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot set itself up has failed"
)]

#[allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    reason = "the tests use the rest of it"
)]
#[path = "../tests/control/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::Instant;

use serde_json::{Value, json};
use support::browser::Browser;
use support::{Base, TestApp};
use uuid::Uuid;

const KINDS: [(&str, u16); 5] = [
    ("never was", 404),
    ("never was, again", 404),
    ("nearly a real one", 404),
    ("revoked", 410),
    ("good", 200),
];
/// Rounds that one address asks before it would be held back; the first is not counted, for its connection is new.
const ROUNDS_PER_ADDRESS: usize = 20;
/// What is left of the times, the shortest of all first.
const KEPT: f64 = 0.95;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, count] = arguments.try_into().expect("sqlite|postgres N");
    let base = if database == "postgres" {
        Base::Postgres
    } else {
        Base::Sqlite
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let times = runtime.block_on(probe(base, count.parse().unwrap()));
    report(&database, &times);
}

/// Microseconds of each answer, by kind.
async fn probe(base: Base, count: usize) -> [Vec<f64>; KINDS.len()] {
    let mut app = TestApp::start(base).await;
    let (good, revoked) = (app.link(json!({})).await, app.link(json!({})).await);
    assert_eq!(app.revoke(&revoked).await.status, 200);
    let last = if good.token.ends_with('A') { 'E' } else { 'A' };
    let nearly = format!("{}{last}", &good.token[..good.token.len() - 1]);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut times: [Vec<f64>; KINDS.len()] = Default::default();
    let mut address = u32::from(Ipv4Addr::new(127, 3, 0, 0));
    while times[0].len() < count {
        address += 1;
        let mut prober = Browser::from(app.address, Ipv4Addr::from(address).into());
        for round in 0..ROUNDS_PER_ADDRESS {
            let mut order: [usize; KINDS.len()] = std::array::from_fn(|kind| kind);
            for at in (1..order.len()).rev() {
                order.swap(at, dice.below(at + 1));
            }
            for kind in order {
                let token = match kind {
                    0 | 1 => never_was(good.token.len()),
                    2 => nearly.clone(),
                    3 => revoked.token.clone(),
                    _ => good.token.clone(),
                };
                let (body, asked) = (json!({ "token": token }), Instant::now());
                let answer = prober.post("/api/v1/launch/describe", &body).await;
                let took = asked.elapsed().as_secs_f64() * 1e6;
                assert_eq!(answer.status, KINDS[kind].1, "{}", answer.body);
                if round > 0 {
                    times[kind].push(took);
                }
            }
        }
    }
    times
}

/// A token of this length that nobody was ever given.
fn never_was(length: usize) -> String {
    let text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    text[..length].to_owned()
}

fn report(database: &str, times: &[Vec<f64>; KINDS.len()]) {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let longest = all[(all.len() as f64 * KEPT) as usize];
    let kept = times.each_ref().map(|times| {
        times
            .iter()
            .copied()
            .filter(|time| *time < longest)
            .collect::<Vec<_>>()
    });
    let rows: Vec<Value> = KINDS
        .iter()
        .zip(&kept)
        .map(|((name, status), times)| {
            let (mean, _) = mean_and_variance(times);
            json!({ "token": name, "status": status, "n": times.len(), "mean_us": mean, "t": welch(times, &kept[0]) })
        })
        .collect();
    let told = json!({ "database": database, "longest_kept_us": longest, "kinds": rows });
    let mut out = std::io::stdout();
    writeln!(out, "{told:#}").unwrap();
}

fn mean_and_variance(times: &[f64]) -> (f64, f64) {
    let n = times.len() as f64;
    let mean = times.iter().sum::<f64>() / n;
    let squares = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
    (mean, squares / (n - 1.0))
}

/// Welch's t: the difference of two means in units of what chance makes of it.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean, variance), (of_other, variance_of_other)) =
        (mean_and_variance(one), mean_and_variance(other));
    let error = variance / one.len() as f64 + variance_of_other / other.len() as f64;
    if error > 0.0 {
        (mean - of_other) / error.sqrt()
    } else {
        0.0
    }
}

/// xorshift64*: the order of the kinds is the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}
