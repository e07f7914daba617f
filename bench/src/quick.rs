//! `farglass bench quick`: one real browser, one device, one table.
//!
//! ```text
//!  find Chromium ─► product ready ─► link ─► browser opens it ─► first readable frame
//!     ─► warm-up ─► sample ─► taps, dithered, until time and number are reached ─► sample ─► report
//! ```
//!
//! Times, CPU and statistics are all taken over the same window. Nothing is left out for being
//! inconvenient: unseen frames, lost taps, a busy machine and a clock that is off stand in the report.
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
use crate::frames::{self, Ages};
use crate::page::{ClockCheck, Facts, Inbound, Page, Recording, SCRIPTS};
use crate::procs::{self, MachineTime, Pid, Table};
use crate::product::{Link, Product, Running};
use crate::report::{Environment, Figure, ProcessCost, Report, Run, Statistic, Value};
use crate::taps::{Answers, Schedule};

/// Encoder, jitter estimate and caches have settled by then.
const WARM_UP: Duration = Duration::from_secs(3);
/// A portrait picture of 720 × 1280 fits without being scaled up.
const WINDOW: Window = Window {
    width: 820,
    height: 1440,
};
/// Below this many taps the 95th percentile is a guess.
const TAPS_FOR_P95: u32 = 100;
/// Facts latency.md asks for this many frames for a 99th percentile.
const FRAMES_FOR_P99: u64 = 1_000;
/// Load per core before the run above which the machine was not idle.
const IDLE_LOAD_PER_CORE: f64 = 0.25;
/// A page clock further off than this makes ages wrong in the digit that is shown.
const CLOCK_OFF_MS: f64 = 1.0;

/// What to run.
#[derive(Debug, Clone)]
pub struct QuickConfig {
    /// The product to start or to use.
    pub product: Product,
    /// How long to measure; 20 s give a 99th percentile of frame age.
    pub seconds: u32,
    /// How many touches to make at least; 100 give a 95th percentile.
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
    let seed = RandomState::new().hash_one("bench");
    let window = Duration::from_secs(config.seconds.into());
    let mut schedule = Schedule::new(seed, window, config.taps);
    let inbound_before = page
        .start()
        .await?
        .context("the page has no video receiver with statistics")?;
    let before = Sample::take()?;
    let end = before.at + window;
    let mut next = before.at;
    let mut taps = 0;
    while taps < config.taps || next < end {
        next = (next + schedule.next_pause()).max(Instant::now());
        sleep_until(next).await;
        let place = page.target(schedule.next_place()).await?;
        page.tap(place).await?;
        taps += 1;
    }
    let after = Sample::take()?;
    let recording = page.stop().await?;
    Ok(Measured {
        seed,
        taps,
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
        let answers = Answers::of(&recording.taps, &recording.shown);
        let inbound = recording.inbound.clone().unwrap_or_default();
        let mut figures = start_figures(&facts);
        figures.extend(loop_figures(&ages, &answers, recording));
        figures.extend(receiver_figures(&measured.inbound_before, &inbound));
        let notes = notes(&environment, &ages, &answers, &measured);
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

fn start_figures(facts: &Facts) -> Vec<Figure> {
    vec![
        Figure::new(
            "ready → first frame",
            "ms",
            Value::one_or(
                facts.ready_to_first_frame_ms(),
                "the page was never told that it is ready",
            ),
            "From the moment the page is told that the session is ready (event stream or gate message, \
             whichever comes first) to expectedDisplayTime of the first frame.",
        ),
        Figure::new(
            "link opened → first frame",
            "ms",
            Value::one_or(facts.open_to_first_frame_ms(), "no frame was shown"),
            "From the page's time origin (navigation to the link) to expectedDisplayTime of the first frame; \
             holds page load, lease, reset and launch of the app.",
        ),
    ]
}

fn loop_figures(ages: &Ages, answers: &Answers, recording: &Recording) -> Vec<Figure> {
    vec![
        Figure::new(
            "frame age",
            "ms",
            Value::spread_or(ages.every.spread(), "no frame had a readable barcode"),
            "expectedDisplayTime minus the time of drawing in the frame's barcode, for every frame drawn; one \
             never seen counts with its age at the next frame seen.",
        ),
        Figure::new(
            "touch → visible change",
            "ms",
            Value::spread_or(answers.durations.spread(), "the page saw no touch"),
            "event.timeStamp of the pointerdown to expectedDisplayTime of the first frame whose barcode carries \
             another input number, at dithered times; a lost touch counts as 2 s.",
        )
        .aim(Statistic::P50, 35.0)
        .aim(Statistic::P95, 50.0),
        Figure::new(
            "arrival → display",
            "ms",
            Value::spread_or(frames::arrival_to_display(&recording.shown).spread(), "the browser gave no arrival"),
            "receiveTime (last packet of the frame) to expectedDisplayTime, of every frame shown.",
        ),
        Figure::new(
            "touch → handler",
            "ms",
            Value::spread_or(recording.tap_to_handler.spread(), "the page saw no touch"),
            "event.timeStamp of the pointerdown to the first handler in the page.",
        ),
        Figure::new(
            "gateway residence",
            "ms",
            Value::spread_or(recording.residence.spread(), "no frame times came on the stats channel"),
            "From the frame's last byte read from the device to its last packet handed to the socket, on the \
             gateway's monotonic clock, of every frame, as told on the stats channel.",
        )
        .aim(Statistic::P99, 1.0),
    ]
}

fn receiver_figures(before: &Inbound, after: &Inbound) -> Vec<Figure> {
    let per = |sum: f64, count: f64| (count > 0.0).then(|| sum / count);
    let ms_per = |sum: f64, count: f64| per(sum * 1e3, count);
    let seconds = (after.timestamp - before.timestamp) / 1e3;
    let decoded = after.frames_decoded - before.frames_decoded;
    let emitted = after.jitter_buffer_emitted_count - before.jitter_buffer_emitted_count;
    let none = "the receiver's statistics did not move";
    vec![
        Figure::new(
            "jitter buffer, mean",
            "ms",
            Value::one_or(
                ms_per(after.jitter_buffer_delay - before.jitter_buffer_delay, emitted),
                none,
            ),
            "getStats: difference of jitterBufferDelay over difference of jitterBufferEmittedCount.",
        )
        .aim(Statistic::Value, 1.0),
        Figure::new(
            "decoding, mean",
            "ms",
            Value::one_or(
                ms_per(after.total_decode_time - before.total_decode_time, decoded),
                none,
            ),
            "getStats: difference of totalDecodeTime over difference of framesDecoded.",
        ),
        Figure::new(
            "frames decoded",
            "1/s",
            Value::one_or(per(decoded, seconds), none),
            "getStats: difference of framesDecoded over difference of timestamp.",
        ),
        Figure::new(
            "bitrate",
            "Mbit/s",
            Value::one_or(
                per((after.bytes_received - before.bytes_received) * 8e-6, seconds),
                none,
            ),
            "getStats: difference of bytesReceived over difference of timestamp.",
        ),
        Figure::new(
            "freezes",
            "count",
            after.freeze_count - before.freeze_count,
            "getStats: difference of freezeCount.",
        ),
        Figure::new(
            "frames dropped",
            "count",
            after.frames_dropped - before.frames_dropped,
            "getStats: difference of framesDropped.",
        ),
        Figure::new(
            "packets lost",
            "count",
            after.packets_lost - before.packets_lost,
            "getStats: difference of packetsLost.",
        ),
    ]
}

/// What a reader must know before believing the figures.
fn notes(environment: &Environment, ages: &Ages, answers: &Answers, measured: &Measured) -> Vec<String> {
    let recording = &measured.recording;
    let mut notes = Vec::new();
    let mut count = |number: u64, what: &str| {
        if number > 0 {
            notes.push(format!("{number} {what}"));
        }
    };
    count(
        ages.unseen,
        "frames were drawn but never seen; each is scored at the next frame seen",
    );
    count(
        ages.uncalled,
        "frames were submitted for display without the page being told",
    );
    count(
        ages.unreadable,
        "frames had a barcode that could not be read; they are scored as unseen",
    );
    count(ages.repeated, "frames were shown again without being drawn anew");
    count(ages.restarts, "times the latency target was started anew");
    count(
        ages.impossible,
        "frames were displayed before they were drawn: the clocks disagree",
    );
    count(answers.lost, "taps had no answer within 2 s");
    count(
        u64::from(measured.taps).saturating_sub(recording.taps.len() as u64),
        "taps were not seen by the page",
    );
    count(
        recording.bad_metas,
        "frame times on the stats channel could not be read",
    );
    count(recording.overflow, "records did not fit");
    for (why, times) in &recording.damage {
        notes.push(format!("barcode unreadable {times} times: {why}"));
    }
    if recording.taps.len() < TAPS_FOR_P95 as usize {
        notes.push(format!(
            "fewer than {TAPS_FOR_P95} taps: their p95 and p99 are guesses"
        ));
    }
    if ages.every.len() < FRAMES_FOR_P99 {
        notes.push(format!(
            "fewer than {FRAMES_FOR_P99} frames: the p99 of frame age is a guess"
        ));
    }
    let ClockCheck { ahead_ms, within_ms } = environment.clock;
    if ahead_ms.abs() > CLOCK_OFF_MS + within_ms {
        notes.push(format!(
            "the page's clock is {ahead_ms:.1} ms ahead of the machine's: frame ages are off by that"
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let idle_load = IDLE_LOAD_PER_CORE * environment.cores as f64;
    if environment.load_before.is_none_or(|load| load > idle_load) {
        notes.push(
            "the machine was not idle before the run: compare only with runs under the same load".to_owned(),
        );
    }
    notes
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
        .filter(|process| tree.as_ref().is_none_or(|tree| tree.contains(&process.pid)))
        .filter(|process| process.program() == "farglass" && process.pid != own)
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

    fn inbound(at_s: f64, frames: f64) -> Inbound {
        Inbound {
            timestamp: at_s * 1e3,
            frames_decoded: frames,
            jitter_buffer_emitted_count: frames,
            jitter_buffer_delay: frames * 0.0005,
            total_decode_time: frames * 0.002,
            bytes_received: frames * 10_000.0,
            ..Inbound::default()
        }
    }

    fn value(figures: &[Figure], name: &str) -> Option<f64> {
        match figures.iter().find(|figure| figure.name == name)?.value {
            Value::One(value) => Some(value),
            Value::Spread(_) | Value::Absent { .. } => None,
        }
    }

    #[test]
    fn receiver_figures_are_differences_over_the_window() {
        let figures = receiver_figures(&inbound(10.0, 600.0), &inbound(30.0, 1800.0));
        let near = |name, want: f64| {
            let got = value(&figures, name).unwrap();
            assert!((got - want).abs() < 1e-6, "{name} is {got}, not {want}");
        };
        near("jitter buffer, mean", 0.5);
        near("decoding, mean", 2.0);
        near("frames decoded", 60.0);
        near("bitrate", 4.8);
    }

    #[test]
    fn a_receiver_that_stood_still_has_no_means() {
        let figures = receiver_figures(&inbound(10.0, 600.0), &inbound(10.0, 600.0));
        assert_eq!(value(&figures, "jitter buffer, mean"), None);
        assert_eq!(value(&figures, "frames decoded"), None);
        assert_eq!(value(&figures, "freezes"), Some(0.0));
    }

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
