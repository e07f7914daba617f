//! `farglass bench quick`: one real browser, one device, one table.
//!
//! ```text
//!  find Chromium ─► product ready ─► link ─► browser opens it ─► first readable frame
//!     ─► warm-up ─► sample ─► every frame for some seconds ─► taps, dithered ─► sample ─► report
//! ```
//!
//! Frame ages come first, then touches with nobody watching the frames in between, because watching
//! delays touches (see `page/observe.js`). CPU and statistics are taken over both. Nothing is left out: unseen frames, lost taps, a busy machine and a clock that is off stand in the report.
//! What is measured how is said once, in the `method` of each figure and in `SPECIFICATION.md`.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::browser::{self, Browser, Window};
use crate::figures;
use crate::frames::Ages;
use crate::page::{ClockCheck, Facts, Inbound, Page, Recording, SCRIPTS};
use crate::procs::{self, MachineTime, Pid, Table};
use crate::product::{Link, Product, Running};
use crate::report::{Environment, ProcessCost, Report, Run};
use crate::taps::{Answers, Schedule};

/// Encoder, jitter estimate and caches have settled by then.
const WARM_UP: Duration = Duration::from_secs(3);
/// A portrait picture of 720 × 1280 fits without being scaled up.
const WINDOW: Window = Window {
    width: 820,
    height: 1440,
};

/// What to run.
#[derive(Debug, Clone)]
pub struct QuickConfig {
    /// The product to start or to use.
    pub product: Product,
    /// How long to watch every frame; 20 s give a 99th percentile of frame age.
    pub seconds: u32,
    /// How many touches to make after that; 100 give a 95th percentile.
    pub taps: u32,
    /// Where to write the report as JSON.
    pub json: Option<PathBuf>,
    /// Where to write a picture (PNG) of the page after the run.
    pub screenshot: Option<PathBuf>,
    /// The browser; none looks where distributions put it.
    pub chromium: Option<PathBuf>,
}

impl QuickConfig {
    /// The usual run: 20 s, 100 taps.
    #[must_use]
    pub fn new(product: Product) -> Self {
        Self {
            product,
            seconds: 20,
            taps: 100,
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
    if config.seconds == 0 || config.taps == 0 {
        bail!("--seconds and --taps must be at least 1");
    }
    let load_before = procs::load();
    let chromium = browser::find(config.chromium.as_deref())?;
    tell("starting the product");
    let running = Running::ready(&config.product).await?;
    let link = running.latency_link().await?;
    tell(&format!("opening a link to {} in Chromium", link.device));
    let browser = Browser::launch(&chromium, WINDOW, &SCRIPTS).await?;
    let mut page = Page::open(browser, &link.url).await?;
    let clock = page.clock().await?;
    tell(&format!("measuring for {} s", config.seconds));
    let measured = measure(&mut page, config).await?;
    let found = Found {
        facts: page.facts().await?,
        costs: costs(&measured, &running, &page),
        environment: environment(&measured, &running, &page, load_before, clock),
        link,
        measured,
    };
    if let Some(file) = &config.screenshot {
        std::fs::write(file, page.browser.screenshot().await?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    page.browser.close().await?;
    running.delete(&found.link).await?;
    let report = found.report();
    if let Some(file) = &config.json {
        report.write_json(file)?;
    }
    Ok(report)
}

/// What was sampled at one end of the window.
struct Sample {
    at: Instant,
    table: Table,
    machine: MachineTime,
}

impl Sample {
    fn take() -> anyhow::Result<Self> {
        let table = procs::table().context("cannot list /proc")?;
        Ok(Self {
            at: Instant::now(),
            table,
            machine: procs::machine(),
        })
    }
}

/// What the window gave.
struct Measured {
    seed: u64,
    taps: u32,
    before: Sample,
    after: Sample,
    inbound_before: Inbound,
    recording: Recording,
}

async fn measure(page: &mut Page, config: &QuickConfig) -> anyhow::Result<Measured> {
    sleep_until(Instant::now() + WARM_UP).await;
    let inbound_before = page
        .start()
        .await?
        .context("the page has no video receiver with statistics")?;
    let before = Sample::take()?;
    sleep_until(before.at + Duration::from_secs(config.seconds.into())).await;
    let frames = page.look_away().await?;
    tell(&format!("{frames} frames seen; touching {} times", config.taps));
    let seed = RandomState::new().hash_one("bench");
    let mut schedule = Schedule::new(seed);
    for _ in 0..config.taps {
        sleep_until(Instant::now() + schedule.next_pause()).await;
        let place = page.target(schedule.next_place()).await?;
        page.tap(place).await?;
    }
    let after = Sample::take()?;
    let recording = page.stop().await?;
    Ok(Measured {
        seed,
        taps: config.taps,
        before,
        after,
        inbound_before,
        recording,
    })
}

/// Everything that the report is made of.
struct Found {
    facts: Facts,
    costs: Vec<ProcessCost>,
    environment: Environment,
    link: Link,
    measured: Measured,
}

impl Found {
    fn report(self) -> Report {
        let Self {
            facts,
            costs,
            environment,
            link,
            measured,
        } = self;
        let recording = &measured.recording;
        let ages = Ages::of(&recording.shown);
        let answers = Answers::of(&recording.taps);
        let inbound = recording.inbound.clone().unwrap_or_default();
        let mut figures = figures::start(&facts);
        figures.extend(figures::loops(&ages, &answers, recording));
        figures.extend(figures::receiver(&measured.inbound_before, &inbound));
        let notes = figures::notes(&environment, &ages, &answers, recording, measured.taps);
        Report {
            run: Run {
                warm_up_s: WARM_UP.as_secs_f64(),
                seconds: (measured.after.at - measured.before.at).as_secs_f64(),
                taps: measured.taps,
                seed: measured.seed,
                device: link.device,
                picture: [pixels(inbound.frame_width), pixels(inbound.frame_height)],
            },
            environment,
            figures,
            processes: costs,
            notes,
            marks: facts.marks,
            receiver: measured.recording.inbound,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
fn pixels(size: f64) -> u32 {
    size as u32
}

fn environment(
    measured: &Measured,
    running: &Running,
    page: &Page,
    load_before: Option<f64>,
    clock: ClockCheck,
) -> Environment {
    let Measured { before, after, .. } = measured;
    let busy = after.machine.busy.saturating_sub(before.machine.busy);
    let idle = after.machine.idle.saturating_sub(before.machine.idle);
    let steal = after.machine.steal.saturating_sub(before.machine.steal);
    let all = (busy + idle + steal).max(Duration::from_millis(1));
    Environment {
        cpu: procs::cpu_model().unwrap_or_else(|| "an unknown processor".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        load_before,
        load_after: procs::load(),
        busy_percent: 100.0 * busy.div_duration_f64(all),
        steal_percent: 100.0 * steal.div_duration_f64(all),
        product: running.version.clone(),
        build: if cfg!(debug_assertions) {
            "development build"
        } else {
            "release build"
        },
        browser: page.browser.version().to_owned(),
        revision: revision(),
        clock,
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

/// CPU over the window and memory at its end, of the product, the browser and the bench.
fn costs(measured: &Measured, running: &Running, page: &Page) -> Vec<ProcessCost> {
    let Measured { before, after, .. } = measured;
    let own = Pid(std::process::id());
    let window = after.at - before.at;
    let cost = |name: String, pids: &HashSet<Pid>| {
        let memory = procs::memory(pids);
        let used = after.table.cpu_since(&before.table, pids);
        ProcessCost {
            name,
            processes: pids.len(),
            cpu_percent: 100.0 * used.div_duration_f64(window),
            rss: memory.rss,
            pss: memory.pss,
        }
    };
    let tree = running.pid().map(|root| after.table.tree(root));
    let mut costs: Vec<ProcessCost> = after
        .table
        .iter()
        .filter(|process| match &tree {
            Some(tree) => tree.contains(&process.pid),
            None => process.program() == "farglass",
        })
        .filter_map(|process| Some(cost(role(process)?, &HashSet::from([process.pid]))))
        .collect();
    costs.sort_by(|one, other| one.name.cmp(&other.name));
    costs.push(cost("Chromium".to_owned(), &after.table.tree(page.browser.pid())));
    costs.push(cost("this bench".to_owned(), &HashSet::from([own])));
    costs
}

/// What a process of the product does, by its first argument.
fn role(process: &procs::Process) -> Option<String> {
    let command = process.argv.get(1)?;
    match command.as_str() {
        "up" | "control" | "agent" => Some(command.clone()),
        "device" => {
            let name = process.option("--name").or_else(|| process.option("--adb-port"));
            Some(format!("device {}", name.unwrap_or("?")))
        }
        _ => None,
    }
}

/// Tells a person at the terminal what is going on; the report itself goes to stdout.
fn tell(what: &str) {
    // A closed terminal is no reason to end a run.
    drop(writeln!(std::io::stderr(), "bench: {what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_what_it_does() {
        let process = |words: &[&str]| procs::Process {
            pid: Pid(1),
            parent: Pid(0),
            argv: words.iter().map(ToString::to_string).collect(),
            cpu: Duration::ZERO,
        };
        assert_eq!(
            role(&process(&["farglass", "control", "--listen", "x"])).as_deref(),
            Some("control")
        );
        assert_eq!(
            role(&process(&["farglass", "device", "--name=one"])).as_deref(),
            Some("device one")
        );
        assert_eq!(
            role(&process(&["farglass", "device", "--adb-port", "5555"])).as_deref(),
            Some("device 5555")
        );
        assert_eq!(role(&process(&["farglass", "bench", "quick"])), None);
        assert_eq!(role(&process(&["farglass"])), None);
    }

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
        assert_eq!(error, "--seconds and --taps must be at least 1");
    }
}
