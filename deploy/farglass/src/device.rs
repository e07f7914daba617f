//! `farglass device`: its arguments become the simulated device's config.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ::device::Mirroring;
use ::device::encode::Habit;
use ::device::fault::{Fault, Faults};
use ::device::replay::Film;
use anyhow::Context;
use tokio_util::sync::CancellationToken;

/// Arguments of `farglass device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of its adb daemon (TCP).
    #[arg(long, value_name = "PORT")]
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

    /// The kind of its video encoder: usual, main, slices or noisy.
    #[arg(long, value_name = "KIND", default_value = Habit::Usual.name())]
    encoder: Habit,

    /// What goes wrong when it is mirrored; may be given several times.
    #[arg(long, value_name = "KIND")]
    fault: Vec<Fault>,

    /// Decides when the faults come: the same number, the same moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Shows this .h264 file in a loop instead of its screen, --fps pictures a second.
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
        boot: ::device::Boot::default(),
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
    Ok(::device::run_as(config, mirroring, stop).await?)
}

fn size(text: &str) -> Result<(u16, u16), String> {
    text.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .ok_or_else(|| "not of the form 720x1280".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_with_an_x_between() {
        assert_eq!(size("720x1280"), Ok((720, 1280)));
        for text in ["720", "720x", "x1280", "720X1280", "70000x1", "-1x5"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
