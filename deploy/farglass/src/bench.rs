//! `farglass bench`: measurements against a running house, or one that is started for it.

mod storm;

use std::io::Write as _;
use std::path::PathBuf;

use ::bench::{Product, QuickConfig};
use anyhow::Context as _;

/// Arguments of `farglass bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, clap::Subcommand)]
enum Scenario {
    /// One device in a real Chromium, started several times: one table in about a minute and a half.
    Quick(Quick),
    /// Kill control, agents, devices and the database at random moments under load, and look for broken promises.
    Storm(storm::Args),
    /// How long after a revocation a device still takes input, in a real Chromium.
    Revoke(storm::RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct Quick {
    /// How long to measure, over all starts; 20 s give a 99th percentile of frame age.
    #[arg(long, default_value_t = 20)]
    seconds: u32,

    /// How many touches to make, over all starts; 100 give a 95th percentile.
    #[arg(long, default_value_t = 100)]
    taps: u32,

    /// How often to start the browser anew. A start keeps one phase of the browser's display against the
    /// device's, which is worth up to one refresh.
    #[arg(long, default_value_t = 5)]
    starts: u32,

    /// Measure one that runs on this machine already, instead of starting one.
    #[arg(long, value_name = "URL", requires = "admin")]
    target: Option<String>,

    /// The `up.json` of the one that runs, or a file with its admin's login.
    #[arg(long, value_name = "FILE", requires = "target")]
    admin: Option<PathBuf>,

    /// Write the report here too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a picture (PNG) of the page after the run.
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,

    /// The browser, when it is not where distributions put it.
    #[arg(long, value_name = "FILE")]
    chromium: Option<PathBuf>,
}

/// The scenarios watch SIGINT and SIGTERM themselves: they have a product and a browser to end first.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.scenario {
        Scenario::Quick(quick) => measure(quick).await,
        Scenario::Storm(args) => storm::run(args).await,
        Scenario::Revoke(args) => storm::revoke(args).await,
    }
}

async fn measure(quick: Quick) -> anyhow::Result<()> {
    let product = match (quick.target, quick.admin) {
        (Some(url), Some(admin)) => Product::Target { url, admin },
        _ => Product::Start {
            binary: std::env::current_exe().context("this program cannot find itself")?,
        },
    };
    let mut config = QuickConfig::new(product);
    config.seconds = quick.seconds;
    config.taps = quick.taps;
    config.starts = quick.starts;
    config.json = quick.json;
    config.screenshot = quick.screenshot;
    config.chromium = quick.chromium;
    let report = ::bench::quick(config).await?;
    writeln!(std::io::stdout(), "{report}").context("stdout cannot be written")?;
    Ok(())
}
