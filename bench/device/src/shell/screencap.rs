//! `screencap -p [FILE]`: the display's pixels now, as a PNG on stdout or in a file.
//!
//! It draws what the device shows from nothing, on a thread of its own, so that neither a mirrored picture nor the
//! shell's other commands wait for it. Only PNG is had; the raw form of Android has no size that all hosts agree on.

use bytes::Bytes;

use crate::android::Android;
use crate::files::Attributes;
use crate::screen::{Moment, screenshot};

use super::console::{HungUp, Sink};
use super::{Call, Done};

/// Draws and packs on a thread for such work: it takes some tens of milliseconds.
pub(super) async fn run(call: &Call<'_>, args: &[&str], out: &Sink, err: &Sink) -> Result<u8, HungUp> {
    let path = match args {
        ["-p"] => None,
        ["-p", path] => Some(*path),
        [path] if path.ends_with(".png") => Some(*path),
        // Without -p it writes raw pixels, which nobody asks this device for.
        _ => {
            err.print("usage: screencap -p [FILENAME]\n").await?;
            return Ok(1);
        }
    };
    let android = call.userland.android.clone();
    let drawn = tokio::task::spawn_blocking(move || png(&android)).await;
    let done = match (drawn, path) {
        (Ok(Ok(png)), None) => Done::ok(png),
        (Ok(Ok(png)), Some(path)) => {
            let attributes = Attributes {
                permissions: 0o644,
                mtime_s: call.now_s,
            };
            match call.userland.files.write(path, Bytes::from(png), attributes) {
                Ok(()) => Done::default(),
                Err(error) => Done::fail(1, format!("Error opening file: {path} ({error})\n")),
            }
        }
        (Ok(Err(error)), _) => Done::fail(1, format!("Capturing failed: {error}\n")),
        (Err(error), _) => Done::fail(1, format!("Capturing failed: {error}\n")),
    };
    out.print(done.out).await?;
    err.print(done.err).await?;
    Ok(done.code)
}

/// The display's pixels now, 8 bits of red, green and blue each.
pub(super) fn png(android: &Android) -> Result<Vec<u8>, png::EncodingError> {
    let moment = Moment {
        unix_100us: crate::clock::unix_100us(),
        ..Moment::default()
    };
    let canvas = screenshot(android, moment);
    let size = canvas.size();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size.width.into(), size.height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let colours = canvas.pixels().iter().flat_map(|&pixel| {
        let [_, red, green, blue] = pixel.to_be_bytes();
        [red, green, blue]
    });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colours.collect::<Vec<u8>>())?;
    writer.finish()?;
    Ok(file)
}
