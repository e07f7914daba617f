//! `farglass agent`: its arguments become the agent's config.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use host_agent::Text;
use host_agent::config::{
    CaptureConfig, Config, ControlConfig, DeviceConfig, MediaConfig, RecordConfig, SILENCE_MAX,
};
use host_agent::label::Label;
use tokio_util::sync::CancellationToken;

/// Arguments of `farglass agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where control's link is (UDP); of several controls on one database all, separated by commas.
    #[arg(long, value_name = "HOST:PORT,…")]
    control: String,

    /// File with a one-time join token; needed until this host is enrolled.
    #[arg(long, value_name = "FILE")]
    join_token_file: Option<PathBuf>,

    /// Folder for the host's certificate, device ids and fences.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// What this host calls itself, for people.
    #[arg(long, default_value = "this machine")]
    name: String,

    /// A device and the way to it; may be repeated. NAME=HOST:PORT is its own adb daemon; NAME=HOST:PORT,key=FILE
    /// shows it an adb key (made if there is none), in the clear or in TLS, as the device asks;
    /// NAME=server:HOST:PORT/SERIAL goes through an adb server.
    #[arg(long = "device", value_name = "NAME=WAY", required = true)]
    devices: Vec<DeviceConfig>,

    /// A label by which links choose a device, such as pixel-1:android=14; may be repeated.
    #[arg(long = "label", value_name = "NAME:KEY=VALUE")]
    labels: Vec<Label>,

    /// The scrcpy server's file.
    #[arg(long, value_name = "FILE")]
    scrcpy_server: PathBuf,

    /// The scrcpy server's own version, exactly.
    #[arg(long, value_name = "VERSION")]
    scrcpy_version: String,

    /// Pictures per second at most; without it as many as the device makes.
    #[arg(long, value_name = "FPS")]
    fps: Option<u16>,

    /// Bits per second of a device's encoder.
    #[arg(long, default_value_t = 8_000_000, value_name = "BITS")]
    bit_rate: u32,

    /// Where viewers' media arrives (UDP); port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT")]
    media: SocketAddr,

    /// An address that browsers can reach, when it is another than that of --media; may be repeated.
    #[arg(long, value_name = "IP")]
    advertise: Vec<IpAddr>,

    /// Writes what passes between here and the devices to files in this folder, each byte with its time: adb's handshake and
    /// packets, and the streams in them; of each connection the first 256 MiB. Behind an adb server there are streams only.
    /// Pictures are in them; what is typed or copied, and what shells, files and keys say, is asterisks.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Keeps what is typed, copied and said in the recordings too.
    #[arg(long, requires = "record")]
    record_text: bool,
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let mut devices = args.devices;
    DeviceConfig::label(&mut devices, args.labels).context("--label")?;
    let server_version = args
        .scrcpy_version
        .parse()
        .with_context(|| format!("--scrcpy-version {}", args.scrcpy_version))?;
    let config = Config {
        control: ControlConfig {
            address: args.control,
            join_token_file: args.join_token_file,
            name: args.name,
        },
        data: args.data,
        devices,
        capture: CaptureConfig {
            server_file: args.scrcpy_server,
            server_version,
            fps_max: args.fps,
            bit_rate: args.bit_rate,
            silence_max: SILENCE_MAX,
        },
        media: MediaConfig {
            bind: args.media,
            advertise: args.advertise,
        },
        record: args.record.map(|folder| RecordConfig {
            folder,
            text: if args.record_text {
                Text::Kept
            } else {
                Text::Redacted
            },
        }),
    };
    Ok(host_agent::run(config, stop).await?)
}
