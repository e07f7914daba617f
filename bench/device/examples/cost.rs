//! What one device costs: `cargo run -p device --example cost [APP] [SECONDS]`.
//!
//! Captures an app of a 720x1280 device at 60 Hz and 4 Mbit/s and prints pictures, bits and the CPU time of this
//! process, drawing and encoding together.

use std::io::Write;
use std::time::{Duration, Instant};

use device::Android;
use device::android::{App, Model};
use device::display::{CaptureOptions, Display, FirstSize, Packet};
use device::encode::{Habit, Wishes};
use device::screen::lens::Lens;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let app = args.next().unwrap_or_else(|| App::Motion.package().to_owned());
    let seconds: u64 = args.next().map_or(Ok(10), |text| text.parse())?;
    let model = Model {
        name: "Cost".to_owned(),
        width: 720,
        height: 1280,
    };
    let android = Android::new(model);
    android.start(&app)?;
    let (display, _thread) = Display::spawn(android, 60)?;
    let mut capture = display.capture(CaptureOptions {
        bit_rate: 4_000_000,
        lens: Lens::WHOLE,
        max_fps: None,
        encoder: Habit::Usual,
        wishes: Wishes::USUAL,
        first_size: FirstSize::Works,
    })?;
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let (mut pictures, mut bytes) = (0u32, 0usize);
    while let Ok(Some(packet)) = tokio::time::timeout(Duration::from_secs(1), capture.packets.recv()).await {
        if let Packet::Frame { data, .. } = packet {
            pictures += 1;
            bytes += data.len();
        }
        if started.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), (cpu_time()? - cpu).as_secs_f64());
    writeln!(
        std::io::stdout(),
        "{app}: {pictures} pictures in {wall:.1} s, {:.2} Mbit/s, {:.2} ms CPU a picture, {:.0} % of a core",
        bytes as f64 * 8e-6 / wall,
        cpu * 1e3 / f64::from(pictures.max(1)),
        cpu * 100.0 / wall,
    )?;
    Ok(())
}

/// User and system time of this process.
fn cpu_time() -> anyhow::Result<Duration> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Ok(Duration::from_micros(
        micros(usage.user_time()) + micros(usage.system_time()),
    ))
}
