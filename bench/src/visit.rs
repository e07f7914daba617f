//! One start of a browser: what it saw of the device, and what that cost.
//!
//! ```text
//!  link ─► browser opens it ─► first readable frame ─► warm-up ─► sample
//!     ─► every frame for some seconds ─► taps, dithered ─► sample ─► browser and link are gone
//! ```
//!
//! Frame ages come first, then touches with nobody watching the frames in between, because watching
//! delays touches (see `page/observe.js`). CPU and statistics are taken over both. Knows no figure and
//! no table: what several visits mean together is decided in `figures.rs`.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use crate::browser::{Browser, Window};
use crate::page::{ClockCheck, Facts, Inbound, Page, Recording, SCRIPTS};
use crate::procs::{self, MachineTime, Memory, Pid, Table};
use crate::product::Running;
use crate::taps::Schedule;

/// Encoder, jitter estimate and caches have settled by then.
pub(crate) const WARM_UP: Duration = Duration::from_secs(3);
/// A portrait picture of 720 × 1280 fits without being scaled up.
const WINDOW: Window = Window {
    width: 820,
    height: 1440,
};

/// What to do on a visit.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// How long to watch every frame.
    pub watch: Duration,
    /// How many touches to make after that.
    pub taps: u32,
    /// Where to write a picture of the page at the end.
    pub screenshot: Option<&'a Path>,
}

/// What a visit found.
#[derive(Debug)]
pub(crate) struct Visit {
    /// The device's name.
    pub device: String,
    /// The browser's name and version.
    pub browser: String,
    /// What the page knows of its start.
    pub facts: Facts,
    /// The page's clock against this machine's.
    pub clock: ClockCheck,
    /// Before the first frame that counts.
    pub before: Sample,
    /// After the last touch.
    pub after: Sample,
    /// The receiver's statistics at `before`.
    pub inbound: Inbound,
    /// What was seen in between.
    pub recording: Recording,
    /// What it cost.
    pub costs: Vec<Cost>,
}

/// The machine at one moment.
#[derive(Debug)]
pub(crate) struct Sample {
    at: Instant,
    table: Table,
    /// Time of all cores.
    pub machine: MachineTime,
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

/// What one process, or one browser with all its processes, used between the samples.
#[derive(Debug)]
pub(crate) struct Cost {
    /// For example `device one`.
    pub name: String,
    /// How many processes.
    pub processes: usize,
    /// User and system time.
    pub cpu: Duration,
    /// At the end.
    pub memory: Memory,
}

impl Visit {
    /// Opens a link in a new browser, watches, touches, and cleans up.
    ///
    /// # Errors
    /// When the product or the browser does not do its part.
    pub(crate) async fn make(
        running: &Running,
        chromium: &Path,
        plan: &Plan<'_>,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Self> {
        let link = running.latency_link().await?;
        let browser = Browser::launch(chromium, WINDOW, &SCRIPTS).await?;
        let mut page = Page::open(browser, &link.url).await?;
        let clock = page.clock().await?;
        sleep_until(Instant::now() + WARM_UP).await;
        let inbound = page
            .start()
            .await?
            .context("the page has no video receiver with statistics")?;
        let before = Sample::take()?;
        sleep_until(before.at + plan.watch).await;
        page.look_away().await?;
        for _ in 0..plan.taps {
            sleep_until(Instant::now() + schedule.next_pause()).await;
            let place = page.target(schedule.next_place()).await?;
            page.tap(place).await?;
        }
        let after = Sample::take()?;
        let recording = page.stop().await?;
        if let Some(file) = plan.screenshot {
            std::fs::write(file, page.browser.screenshot().await?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let visit = Self {
            device: link.device.clone(),
            browser: page.browser.version().to_owned(),
            facts: page.facts().await?,
            clock,
            costs: costs(&before, &after, running.pid(), page.browser.pid()),
            before,
            after,
            inbound,
            recording,
        };
        page.browser.close().await?;
        running.delete(&link).await?;
        Ok(visit)
    }

    /// From the first sample to the last.
    pub(crate) fn window(&self) -> Duration {
        self.after.at - self.before.at
    }
}

/// What the product, the browser and the bench used. A product that is not ours to start is found by the
/// name of its program.
fn costs(before: &Sample, after: &Sample, product: Option<Pid>, browser: Pid) -> Vec<Cost> {
    let cost = |name: String, pids: &HashSet<Pid>| Cost {
        name,
        processes: pids.len(),
        cpu: after.table.cpu_since(&before.table, pids),
        memory: procs::memory(pids),
    };
    let tree = product.map(|root| after.table.tree(root));
    let mut costs: Vec<Cost> = after
        .table
        .iter()
        .filter(|process| match &tree {
            Some(tree) => tree.contains(&process.pid),
            None => process.program() == "farglass",
        })
        .filter_map(|process| Some(cost(role(process)?, &HashSet::from([process.pid]))))
        .collect();
    costs.sort_by(|one, other| one.name.cmp(&other.name));
    costs.push(cost("Chromium".to_owned(), &after.table.tree(browser)));
    costs.push(cost(
        "this bench".to_owned(),
        &HashSet::from([Pid(std::process::id())]),
    ));
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
}
