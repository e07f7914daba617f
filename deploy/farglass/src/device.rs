//! `farglass device`: its arguments become the simulated device's config. Those about who may come in over adb, and how
//! bytes flow there, are in [`door`].

mod door;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::device::encode::Habit;
use ::device::fault::{Fault, Faults};
use ::device::replay::Film;
use ::device::{Boot, Console, Mirroring};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

/// Every adb server of the machine looks for emulators on the odd ports here, takes what it finds for one, and holds
/// on to it: a device there would be listed twice, and its connection be shared with whoever starts an adb.
pub(crate) const CLAIMED_BY_ADB: RangeInclusive<u16> = 5555..=5585;

/// Arguments of `farglass device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of its adb daemon (TCP), outside of 5555 to 5585.
    #[arg(long, value_name = "PORT", value_parser = adb_port)]
    adb_port: u16,

    /// Address to listen on. Whoever reaches it has a shell on the device.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    listen: IpAddr,

    /// Size of its screen, upright.
    #[arg(long, default_value = "720x1280", value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: (u16, u16),

    /// Pictures per second while something moves.
    #[arg(long, default_value_t = 60)]
    fps: u32,

    /// Its model's name.
    #[arg(long, default_value = "Simulated")]
    name: String,

    /// The kind of its video encoder.
    #[arg(long, value_name = "KIND", default_value = Habit::Usual.name(), help = encoder_help())]
    encoder: Habit,

    /// What goes wrong with it.
    #[arg(long, value_name = "KIND", help = fault_help())]
    fault: Vec<Fault>,

    #[command(flatten)]
    door: door::Args,

    /// Port of an emulator's console at the same address, which sets sensors, location and battery. Without it there is
    /// none, as on a phone.
    #[arg(long, value_name = "PORT")]
    console_port: Option<u16>,

    /// File with the token that clients of the console have to know. Without it anyone may use the console.
    #[arg(long, value_name = "FILE", requires = "console_port")]
    console_token_file: Option<PathBuf>,

    /// How long its services take to come up, in seconds, or `never`. The adb daemon is there at once.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = boot)]
    boot: Boot,

    /// Decides when the faults come: the same number, the same moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Shows this file instead of its screen: an .h264 file in a loop, --fps pictures a second, or a recording that
    /// `farglass agent --record` made, once, at its own times.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let (width, height) = args.size;
    let adb = SocketAddr::new(args.listen, args.adb_port);
    let config = ::device::Config {
        adb,
        name: args.name,
        width,
        height,
        fps: args.fps,
        boot: args.boot,
    };
    let film = match &args.replay {
        Some(file) => Some(Film::open(file).with_context(|| format!("{} cannot be shown", file.display()))?),
        None => None,
    };
    let mirroring = Mirroring {
        faults: Faults::new(args.fault, args.seed),
        encoder: args.encoder,
        film,
    };
    let mut traits = args.door.traits(mirroring)?;
    traits.console = match args.console_port {
        Some(port) => Some(Console {
            address: SocketAddr::new(args.listen, port),
            token: args.console_token_file.as_deref().map(token).transpose()?,
        }),
        None => None,
    };
    Ok(::device::run_as(config, traits, stop).await?)
}

/// With every kind that there is: they are known nowhere else.
fn encoder_help() -> String {
    format!(
        "The kind of its video encoder: {}",
        Habit::ALL.map(Habit::name).join(", ")
    )
}

/// As [`encoder_help`].
fn fault_help() -> String {
    format!(
        "What goes wrong with it, at its adb daemon or when it is mirrored; may be given several times: {}",
        Fault::ALL.map(Fault::name).join(", ")
    )
}

fn adb_port(text: &str) -> Result<u16, String> {
    let port = text
        .parse::<u16>()
        .map_err(|_| "not a port from 0 to 65535".to_owned())?;
    if CLAIMED_BY_ADB.contains(&port) {
        return Err(format!(
            "every adb server claims the ports {} to {} for emulators: choose another, such as 7001",
            CLAIMED_BY_ADB.start(),
            CLAIMED_BY_ADB.end()
        ));
    }
    Ok(port)
}

fn token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the console's token {} cannot be read", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(
        !token.is_empty(),
        "the console's token {} is empty",
        file.display()
    );
    Ok(token.to_owned())
}

fn boot(text: &str) -> Result<Boot, String> {
    if text == "never" {
        return Ok(Boot::Fails);
    }
    let seconds = text
        .parse::<u32>()
        .map_err(|_| "neither whole seconds nor `never`")?;
    Ok(Boot::Takes(Duration::from_secs(seconds.into())))
}

fn size(text: &str) -> Result<(u16, u16), String> {
    text.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .ok_or_else(|| "not of the form 720x1280".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_port_that_adb_servers_claim_is_refused_with_the_way_out() {
        let port =
            |port: &str| Line::try_parse_from(["device", "--adb-port", port]).map(|line| line.args.adb_port);
        for claimed in ["5555", "5570", "5585"] {
            let told = port(claimed).unwrap_err().to_string();
            assert!(
                told.contains("--adb-port")
                    && told.contains("every adb server")
                    && told.contains("choose another"),
                "{told}"
            );
        }
        for free in ["0", "5554", "5586", "7001"] {
            assert_eq!(port(free).unwrap().to_string(), free);
        }
        assert!(port("70000").is_err());
    }

    #[test]
    fn the_help_names_every_kind_of_encoder_and_of_fault() {
        let command = <Line as clap::CommandFactory>::command();
        let help = |option: &str| {
            let mut arguments = command.get_arguments();
            let found = arguments.find(|argument| argument.get_id() == option).unwrap();
            found.get_help().unwrap().to_string()
        };
        let (encoder, fault) = (help("encoder"), help("fault"));
        for kind in Habit::ALL {
            assert!(encoder.contains(kind.name()), "{encoder}");
        }
        for kind in Fault::ALL {
            assert!(fault.contains(kind.name()), "{fault}");
        }
    }

    #[test]
    fn booting_takes_seconds_or_never_ends() {
        assert_eq!(boot("0"), Ok(Boot::default()));
        assert_eq!(boot("7"), Ok(Boot::Takes(Duration::from_secs(7))));
        assert_eq!(boot("never"), Ok(Boot::Fails));
        for text in ["", "-1", "1.5", "soon"] {
            assert!(boot(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_two_numbers_with_an_x_between() {
        assert_eq!(size("720x1280"), Ok((720, 1280)));
        for text in ["720", "720x", "x1280", "720X1280", "70000x1", "-1x5"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
