//! What was found: figures with their unit and method, processes, and the circumstances.
//!
//! As text it is one table for a terminal; as JSON it also carries each figure's method in one
//! sentence and what the figures were made of. A promise stands beside its figure as met or missed;
//! a figure that could not be taken says why instead of being left out.
//!
//! ```text
//!  figure                       p50     p95     p99     max      n   aim
//!  touch → visible change      28.1    39.9    44.0    47.2    100   p50 ≤ 35 met, p95 ≤ 50 met
//! ```
//!
//! Knows no browser and no process: numbers in, page out. Times in milliseconds.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::{Serialize, Serializer};

use crate::histogram::Spread;
use crate::page::{ClockCheck, Inbound, Mark};

/// A finished run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub environment: Environment,
    /// What was done.
    pub run: Run,
    /// What was found.
    pub figures: Vec<Figure>,
    /// What it cost.
    pub processes: Vec<ProcessCost>,
    /// What a reader must know before believing the figures.
    pub notes: Vec<String>,
    /// The viewer's own marks, ms since its page began to load.
    pub marks: Vec<Mark>,
    /// The receiver's statistics at the end of the run.
    pub receiver: Option<Inbound>,
}

/// Where a run took place.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// One-minute load average when the bench was started.
    pub load_before: Option<f64>,
    /// The same when it ended.
    pub load_after: Option<f64>,
    /// Of all cores during the measurement, percent.
    pub busy_percent: f64,
    /// Taken by the hypervisor during the measurement, percent.
    pub steal_percent: f64,
    /// The product's version, as it says itself.
    pub product: String,
    /// How this bench was built: with or without optimisation of the house's own crates.
    pub build: &'static str,
    /// The browser.
    pub browser: String,
    /// Revision of the working folder's repository, if it is one.
    pub revision: Option<String>,
    /// The page's clock against the machine's.
    pub clock: ClockCheck,
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Before measuring.
    pub warm_up_s: f64,
    /// Measured.
    pub seconds: f64,
    /// Touches made.
    pub taps: u32,
    /// Starts of the browser that frames and touches were spread over.
    pub starts: u32,
    /// Makes the times and places of the touches the same again.
    pub seed: u64,
    /// The device's name.
    pub device: String,
    /// The size of the picture, pixels.
    pub picture: [u32; 2],
}

/// One measured thing.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// As the table shows it.
    pub name: &'static str,
    /// For example `ms`.
    pub unit: &'static str,
    /// What was found.
    pub value: Value,
    /// How, in one sentence.
    pub method: &'static str,
    /// What is aimed at.
    pub aims: Vec<Aim>,
}

impl Figure {
    /// A figure without an aim.
    #[must_use]
    pub fn new(
        name: &'static str,
        unit: &'static str,
        value: impl Into<Value>,
        method: &'static str,
    ) -> Self {
        Self {
            name,
            unit,
            value: value.into(),
            method,
            aims: Vec::new(),
        }
    }

    /// Adds an aim: `statistic` is at most `at_most`.
    #[must_use]
    pub fn aim(mut self, statistic: Statistic, at_most: f64) -> Self {
        let met = self.value.statistic(statistic).map(|value| value <= at_most);
        self.aims.push(Aim {
            statistic,
            at_most,
            met,
        });
        self
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A single number.
    One(f64),
    /// Percentiles.
    Spread(Spread),
    /// Nothing, and why.
    Absent {
        /// A sentence.
        absent: String,
    },
}

impl Value {
    /// The number, or why it is missing.
    #[must_use]
    pub fn one_or(value: Option<f64>, absent: &str) -> Self {
        value.map_or_else(
            || Self::Absent {
                absent: absent.to_owned(),
            },
            Self::One,
        )
    }

    /// The percentiles, or why they are missing.
    #[must_use]
    pub fn spread_or(value: Option<Spread>, absent: &str) -> Self {
        value.map_or_else(
            || Self::Absent {
                absent: absent.to_owned(),
            },
            Self::Spread,
        )
    }

    fn statistic(&self, statistic: Statistic) -> Option<f64> {
        match (self, statistic) {
            (Self::One(value), Statistic::Value) => Some(*value),
            (Self::Spread(spread), Statistic::P50) => Some(spread.p50),
            (Self::Spread(spread), Statistic::P95) => Some(spread.p95),
            (Self::Spread(spread), Statistic::P99) => Some(spread.p99),
            (Self::One(_) | Self::Spread(_) | Self::Absent { .. }, _) => None,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::One(value)
    }
}

/// Which number of a figure an aim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// The single number.
    Value,
    /// The median.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

/// A limit that a figure should stay under.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Aim {
    /// Which number.
    pub statistic: Statistic,
    /// In the figure's unit.
    pub at_most: f64,
    /// Whether it did; none when the figure is absent.
    pub met: Option<bool>,
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.statistic {
            Statistic::Value => "",
            Statistic::P50 => "p50 ",
            Statistic::P95 => "p95 ",
            Statistic::P99 => "p99 ",
        };
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        write!(f, "{name}≤ {} {met}", self.at_most)
    }
}

/// What one process, or one browser with all its processes, cost.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessCost {
    /// For example `device one`.
    pub name: String,
    /// How many processes.
    pub processes: usize,
    /// User and system time over the measurement, percent of one core.
    pub cpu_percent: f64,
    /// Resident memory at the end.
    #[serde(serialize_with = "mebibytes")]
    pub rss: u64,
    /// Proportional memory at the end; none if the system would not say.
    #[serde(serialize_with = "mebibytes_if_known")]
    pub pss: Option<u64>,
}

impl Report {
    /// Writes the JSON form.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.table(f)?;
        self.costs(f)?;
        for note in &self.notes {
            writeln!(f, "! {note}")?;
        }
        Ok(())
    }
}

impl Report {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Environment {
            cpu,
            cores,
            product,
            build,
            browser,
            ..
        } = &self.environment;
        let [width, height] = self.run.picture;
        writeln!(
            f,
            "farglass bench quick: {:.1} s and {} taps over {} starts, each after {:.1} s of warm-up, device {} \
             {width}x{height}",
            self.run.seconds, self.run.taps, self.run.starts, self.run.warm_up_s, self.run.device,
        )?;
        let revision = self.environment.revision.as_deref().unwrap_or("unknown");
        writeln!(
            f,
            "farglass {product} ({build}, revision {revision}), {browser} headless"
        )?;
        let load = |load: Option<f64>| load.map_or("?".to_owned(), |load| format!("{load:.2}"));
        writeln!(
            f,
            "{cores} cores of {cpu}; load {} before, {} after; machine {:.0} % busy, {:.1} % stolen\n",
            load(self.environment.load_before),
            load(self.environment.load_after),
            self.environment.busy_percent,
            self.environment.steal_percent,
        )
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (figure, p50, p95, p99, max, n) = ("figure", "p50", "p95", "p99", "max", "n");
        writeln!(f, "{figure:<28}{p50:>9}{p95:>9}{p99:>9}{max:>9}{n:>7}  aim")?;
        for figure in &self.figures {
            let name = format!("{} ({})", figure.name, figure.unit);
            match &figure.value {
                Value::One(value) => write!(f, "{name:<28}{value:>9.2}{:>34}", "")?,
                Value::Spread(spread) => write!(
                    f,
                    "{name:<28}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>7}",
                    spread.p50, spread.p95, spread.p99, spread.max, spread.n
                )?,
                Value::Absent { absent } => write!(f, "{name:<28}  not measured: {absent}")?,
            }
            let aims: Vec<String> = figure.aims.iter().map(ToString::to_string).collect();
            let gap = if aims.is_empty() { "" } else { "  " };
            writeln!(f, "{gap}{}", aims.join(", "))?;
        }
        writeln!(f)
    }

    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, cpu, rss, pss) = ("process", "CPU % of a core", "RSS MiB", "PSS MiB");
        writeln!(f, "{process:<28}{cpu:>18}{rss:>12}{pss:>12}")?;
        for cost in &self.processes {
            let name = match cost.processes {
                1 => cost.name.clone(),
                many => format!("{} ({many} processes)", cost.name),
            };
            let pss = cost.pss.map_or("?".to_owned(), |pss| format!("{:.1}", mib(pss)));
            writeln!(
                f,
                "{name:<28}{:>18.1}{:>12.1}{pss:>12}",
                cost.cpu_percent,
                mib(cost.rss)
            )?;
        }
        writeln!(f)
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory of processes: far below 2^53")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn mebibytes<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(mib(*bytes))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn mebibytes_if_known<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.map(mib).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Durations;

    fn report(figures: Vec<Figure>) -> Report {
        Report {
            environment: Environment {
                cpu: "Some CPU".to_owned(),
                cores: 2,
                load_before: Some(0.1),
                load_after: None,
                busy_percent: 50.0,
                steal_percent: 0.0,
                product: "0.1.0".to_owned(),
                build: "development build",
                browser: "Chrome/1".to_owned(),
                revision: None,
                clock: ClockCheck {
                    ahead_ms: 0.0,
                    within_ms: 0.1,
                },
            },
            run: Run {
                warm_up_s: 3.0,
                seconds: 20.0,
                taps: 100,
                starts: 5,
                seed: 7,
                device: "one".to_owned(),
                picture: [720, 1280],
            },
            figures,
            processes: vec![ProcessCost {
                name: "agent".to_owned(),
                processes: 1,
                cpu_percent: 12.34,
                rss: 3 << 20,
                pss: None,
            }],
            notes: vec!["be careful".to_owned()],
            marks: Vec::new(),
            receiver: None,
        }
    }

    fn spread(us: u64) -> Value {
        Value::spread_or([us].into_iter().collect::<Durations>().spread(), "nothing")
    }

    #[test]
    fn an_aim_is_met_missed_or_not_measured() {
        let aims = |value| {
            let figure = Figure::new("touch", "ms", value, "m")
                .aim(Statistic::P50, 35.0)
                .aim(Statistic::P95, 50.0);
            figure
                .aims
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(aims(spread(20_000)), "p50 ≤ 35 met, p95 ≤ 50 met");
        assert_eq!(aims(spread(40_000)), "p50 ≤ 35 MISSED, p95 ≤ 50 met");
        assert_eq!(
            aims(Value::one_or(None, "x")),
            "p50 ≤ 35 not measured, p95 ≤ 50 not measured"
        );
    }

    #[test]
    fn the_table_shows_every_figure_also_one_that_is_missing() {
        let text = report(vec![
            Figure::new("frame age", "ms", spread(20_000), "m"),
            Figure::new("fps", "1/s", 59.9, "m"),
            Figure::new(
                "residence",
                "ms",
                Value::spread_or(None, "no frame times came"),
                "m",
            ),
        ])
        .to_string();
        for line in [
            "frame age (ms)",
            "59.90",
            "not measured: no frame times came",
            "agent",
            "! be careful",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(
            text.contains("12.3") && text.contains("3.0") && text.contains('?'),
            "{text}"
        );
    }

    #[test]
    fn the_file_carries_methods_and_mebibytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.json");
        let figure = Figure::new("frame age", "ms", spread(20_000), "how it was done");
        report(vec![figure]).write_json(&file).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(json["figures"][0]["method"], "how it was done");
        assert_eq!(json["processes"][0]["rss"], 3.0);
        assert_eq!(json["processes"][0]["pss"], serde_json::Value::Null);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = report(Vec::new())
            .write_json(Path::new("/nowhere/out.json"))
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nowhere/out.json");
    }
}
