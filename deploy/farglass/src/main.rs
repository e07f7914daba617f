//! The one binary: a single match on the subcommand, nothing else.
//!
//! Each subcommand has a file that turns its arguments into the config of the crate that does the work.
//! What all of them share lives here: the log goes to stderr, stdout is for answers; Ctrl-C and SIGTERM ask
//! for a clean end through one token; an error is printed once, with its causes, and the exit code is 1
//! (2 for arguments that cannot be read, as clap does it).

mod agent;
mod bench;
mod control;
mod device;
mod doctor;
mod up;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nix::sys::{prctl, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Android devices in a browser, over WebRTC, behind links.
#[derive(Parser)]
#[command(name = "farglass", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// End when the process with this id ends: how `up` makes sure that nothing outlives it.
    #[arg(long, global = true, hide = true, value_name = "PID")]
    die_with: Option<i32>,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: control, one agent, simulated devices.
    Up(up::Args),
    /// Run the service: people, links, leases, the web pages.
    Control(control::Args),
    /// Run the agent of a device host: adb, scrcpy, the media gateway.
    Agent(agent::Args),
    /// Run one simulated Android device.
    Device(device::Args),
    /// Look at this host, at control and at devices, and say what is wrong and how to cure it.
    Doctor(doctor::Args),
    /// Measure.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Some(parent) = cli.die_with
        && let Err(error) = die_with(parent)
    {
        return fail(&error);
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // `up` only watches: one thread, which also keeps the children's parent (a thread, for Linux) alive.
    let mut builder = match command {
        Command::Up(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .context("the async runtime could not start")?;
    runtime.block_on(async {
        let stop = stop_on_signals()?;
        match command {
            Command::Up(args) => up::run(args, stop).await,
            Command::Control(args) => control::run(args, stop).await,
            Command::Agent(args) => agent::run(args, stop).await,
            Command::Device(args) => device::run(args, stop).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Bench(args) => bench::run(args).await,
        }
    })
}

/// A token that is cancelled by the first SIGINT or SIGTERM.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    // Lives as long as the runtime: the process ends with the subcommand.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

/// Has the kernel send SIGTERM here when `parent` ends, and refuses to start when it has ended already.
fn die_with(parent: i32) -> anyhow::Result<()> {
    prctl::set_pdeathsig(signal::Signal::SIGTERM).context("the parent cannot be watched")?;
    anyhow::ensure!(
        nix::unistd::getppid().as_raw() == parent,
        "the process {parent} that this one belongs to has ended"
    );
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of the program, for the person who started it"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("farglass: {error:#}");
    ExitCode::FAILURE
}
