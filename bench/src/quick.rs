//! `farglass bench quick`: one device, a real browser started several times, one table.
//!
//! ```text
//!  find Chromium ─► product ready ─┬─► visit ─► visit ─► … ─► all of them together ─► report
//!                                  └ each in a browser of its own (`visit.rs`)
//! ```
//!
//! A browser that runs keeps one phase of its display against the device's 60 Hz for as long as it runs,
//! and that phase is worth up to one refresh: a single start would report its luck. The frames and
//! touches are therefore spread over several starts and pooled, and the report tells how far apart the
//! starts were. Nothing is left out: unseen frames, lost taps, a busy machine and a clock that is off
//! stand in the report. What is measured how is said once, in the `method` of each figure and in
//! `SPECIFICATION.md`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::browser;
use crate::figures::{self, Pooled};
use crate::procs;
use crate::product::{Product, Running};
use crate::report::{Environment, ProcessCost, Report, Run};
use crate::taps::Schedule;
use crate::visit::{Plan, Visit, WARM_UP};

/// Phases of display against device that a run meets unless told otherwise. With five of them spread evenly
/// at random, the chance that all fall into the same third of a refresh is one in eighty.
const STARTS: u32 = 5;

/// What to run.
#[derive(Debug, Clone)]
pub struct QuickConfig {
    /// The product to start or to use.
    pub product: Product,
    /// How long to watch every frame, over all starts; 20 s give a 99th percentile of frame age.
    pub seconds: u32,
    /// How many touches to make, over all starts; 100 give a 95th percentile.
    pub taps: u32,
    /// How often to start the browser anew.
    pub starts: u32,
    /// Where to write the report as JSON.
    pub json: Option<PathBuf>,
    /// Where to write a picture (PNG) of the page after the run.
    pub screenshot: Option<PathBuf>,
    /// The browser; none looks where distributions put it.
    pub chromium: Option<PathBuf>,
}

impl QuickConfig {
    /// The usual run: 20 s and 100 taps over five starts.
    #[must_use]
    pub fn new(product: Product) -> Self {
        Self {
            product,
            seconds: 20,
            taps: 100,
            starts: STARTS,
            json: None,
            screenshot: None,
            chromium: None,
        }
    }
}

/// Runs the scenario. SIGINT and SIGTERM end it, with everything it started.
///
/// # Errors
/// When something is missing (the message says what to do), or the product does not do its part.
pub async fn quick(config: QuickConfig) -> anyhow::Result<Report> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        report = scenario(&config) => report,
        _ = interrupt.recv() => bail!("interrupted; what the bench started is stopped"),
        _ = terminate.recv() => bail!("terminated; what the bench started is stopped"),
    }
}

async fn scenario(config: &QuickConfig) -> anyhow::Result<Report> {
    check(config)?;
    let load_before = procs::load();
    let chromium = browser::find(config.chromium.as_deref())?;
    tell("starting the product");
    let running = Running::ready(&config.product).await?;
    let seed = RandomState::new().hash_one("bench");
    let mut schedule = Schedule::new(seed);
    let mut visits = Vec::new();
    for start in 0..config.starts {
        let plan = Plan {
            watch: Duration::from_secs(config.seconds.into()) / config.starts,
            taps: share(config.taps, start, config.starts),
            screenshot: config
                .screenshot
                .as_deref()
                .filter(|_| start + 1 == config.starts),
        };
        tell(&format!("start {} of {}", start + 1, config.starts));
        visits.push(Visit::make(&running, &chromium, &plan, &mut schedule).await?);
    }
    let report = report(config, seed, &running.version, load_before, &visits)?;
    if let Some(file) = &config.json {
        report.write_json(file)?;
    }
    Ok(report)
}

fn check(config: &QuickConfig) -> anyhow::Result<()> {
    let &QuickConfig {
        seconds,
        taps,
        starts,
        ..
    } = config;
    if seconds == 0 || taps == 0 || starts == 0 {
        bail!("--seconds, --taps and --starts must be at least 1");
    }
    if taps < starts {
        bail!("{taps} taps cannot be spread over {starts} starts: fewer --starts, or more --taps");
    }
    Ok(())
}

/// How many of `all` fall to the start with this number, counted from 0.
fn share(all: u32, start: u32, starts: u32) -> u32 {
    let until = |start: u32| u64::from(all) * u64::from(start) / u64::from(starts);
    u32::try_from(until(start + 1) - until(start)).unwrap_or(all)
}

fn report(
    config: &QuickConfig,
    seed: u64,
    version: &str,
    load_before: Option<f64>,
    visits: &[Visit],
) -> anyhow::Result<Report> {
    let last = visits.last().context("no start was made")?;
    let environment = environment(visits, last, version, load_before);
    let pooled = Pooled::of(visits);
    let mut figures = figures::start(visits);
    figures.extend(figures::loops(&pooled));
    figures.extend(figures::receiver(&pooled.receivers));
    let inbound = last.recording.inbound.clone().unwrap_or_default();
    Ok(Report {
        run: Run {
            warm_up_s: WARM_UP.as_secs_f64(),
            seconds: visits.iter().map(|visit| visit.window().as_secs_f64()).sum(),
            taps: config.taps,
            starts: config.starts,
            seed,
            device: last.device.clone(),
            picture: [pixels(inbound.frame_width), pixels(inbound.frame_height)],
        },
        notes: figures::notes(&environment, &pooled, config.taps),
        environment,
        figures,
        processes: costs(visits),
        marks: last.facts.marks.clone(),
        receiver: last.recording.inbound.clone(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
fn pixels(size: f64) -> u32 {
    size as u32
}

fn environment(visits: &[Visit], last: &Visit, version: &str, load_before: Option<f64>) -> Environment {
    let spent = |part: fn(&procs::MachineTime) -> Duration| -> Duration {
        let one = |visit: &Visit| part(&visit.after.machine).saturating_sub(part(&visit.before.machine));
        visits.iter().map(one).sum()
    };
    let busy = spent(|machine| machine.busy);
    let idle = spent(|machine| machine.idle);
    let steal = spent(|machine| machine.steal);
    let all = (busy + idle + steal).max(Duration::from_millis(1));
    let worst = |one: &&Visit, other: &&Visit| {
        let off = |visit: &Visit| visit.clock.ahead_ms.abs();
        off(one).total_cmp(&off(other))
    };
    Environment {
        cpu: procs::cpu_model().unwrap_or_else(|| "an unknown processor".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        load_before,
        load_after: procs::load(),
        busy_percent: 100.0 * busy.div_duration_f64(all),
        steal_percent: 100.0 * steal.div_duration_f64(all),
        product: version.to_owned(),
        build: if cfg!(debug_assertions) {
            "development build"
        } else {
            "release build"
        },
        browser: last.browser.clone(),
        revision: revision(),
        clock: visits.iter().max_by(worst).unwrap_or(last).clock,
    }
}

/// The revision of the repository in the working folder, with a star if files differ from it.
fn revision() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty=*", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// CPU over all windows and memory at the end of the last, of the product, the browser and the bench.
fn costs(visits: &[Visit]) -> Vec<ProcessCost> {
    let all: Duration = visits.iter().map(Visit::window).sum();
    let mut used: BTreeMap<&str, Duration> = BTreeMap::new();
    for cost in visits.iter().flat_map(|visit| &visit.costs) {
        *used.entry(&cost.name).or_default() += cost.cpu;
    }
    let last = visits.last().map_or(&[][..], |visit| &visit.costs);
    let row = |cost: &crate::visit::Cost| ProcessCost {
        name: cost.name.clone(),
        processes: cost.processes,
        cpu_percent: 100.0 * used[cost.name.as_str()].div_duration_f64(all),
        rss: cost.memory.rss,
        pss: cost.memory.pss,
    };
    last.iter().map(row).collect()
}

/// Tells a person at the terminal what is going on; the report itself goes to stdout.
fn tell(what: &str) {
    // A closed terminal is no reason to end a run.
    drop(writeln!(std::io::stderr(), "bench: {what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_without_time_or_taps_is_refused_before_anything_starts() {
        let product = Product::Start {
            binary: PathBuf::from("/nowhere/farglass"),
        };
        let config = QuickConfig {
            taps: 0,
            ..QuickConfig::new(product)
        };
        let error = quick(config).await.unwrap_err().to_string();
        assert_eq!(error, "--seconds, --taps and --starts must be at least 1");
    }

    #[tokio::test]
    async fn a_run_with_more_starts_than_taps_is_refused() {
        let product = Product::Start {
            binary: PathBuf::from("/nowhere/farglass"),
        };
        let config = QuickConfig {
            taps: 4,
            ..QuickConfig::new(product)
        };
        let error = quick(config).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "4 taps cannot be spread over 5 starts: fewer --starts, or more --taps"
        );
    }

    #[test]
    fn taps_are_spread_over_the_starts_without_losing_one() {
        let shares: Vec<u32> = (0..3).map(|start| share(100, start, 3)).collect();
        assert_eq!(shares, [33, 33, 34]);
    }
}
