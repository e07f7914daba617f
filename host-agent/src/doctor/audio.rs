//! Whether a device lets its sound be captured: asked of the scrcpy server there, which tells it in the first four bytes
//! of its audio socket.
//!
//! ```text
//!   server: video=false control=false tunnel_forward=true
//!     ◄── 00 · name × 64 · codec      it does                       ok
//!     ◄── 00 · name × 64 · 00000000   Android refuses               warning: picture and touch do without
//!     ◄── 00 · name × 64 · 00000001   the server cannot encode it   fails
//! ```
//!
//! Without a server's file, or with a server before 2.1, which cannot leave the picture out, only Android's API level
//! tells something. Nothing of the sound is read.

use std::time::Duration;

use adb::{Host, Stream};
use bytes::Bytes;
use scrcpy::codec::AudioStart;
use scrcpy::handshake::{self, DEVICE_NAME_LEN, Scid};
use scrcpy::{ServerOptions, ServerVersion};

use super::Check;
use crate::capture::first_socket;

const NAME: &str = "audio";
/// From here on Android lets sound be captured: 11.
const SDK: u32 = 30;
/// How long a server may take from its launch to those four bytes: it tells them once its encoder runs.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The name and the four bytes.
const HEADER_LEN: usize = DEVICE_NAME_LEN + 4;

/// What the API level alone says.
pub(super) fn by_level(sdk: Option<u32>) -> Check {
    match sdk {
        None => Check::warning(NAME, "unknown", "Nothing can be said without an API level."),
        Some(sdk @ ..SDK) => Check::warning(
            NAME,
            format!("none: API {sdk}"),
            "Sound needs Android 11 (API 30) or later; picture and touch do not.",
        ),
        Some(SDK) => Check::warning(
            NAME,
            "Android 11 lets sound be captured only when the screen is unlocked at the start",
            "Take the screen lock off, or take Android 12 or later.",
        ),
        Some(_) => Check::ok(
            NAME,
            "this Android lets sound be captured; with --scrcpy-server of 2.1 or later the device itself is asked",
        ),
    }
}

/// Whether a server of this version can be asked.
pub(super) fn can_tell(version: ServerVersion) -> bool {
    version.at_least(2, 1, 0)
}

/// Starts the server whose file is on the device, for its sound alone.
pub(super) async fn ask(host: &Host, jar: &str, version: ServerVersion) -> Check {
    match tokio::time::timeout(TIMEOUT, first_bytes(host, jar, version)).await {
        Ok(Ok(bytes)) => judge(bytes),
        Ok(Err(why)) => unheard(&why),
        Err(_) => unheard(&format!("nothing within {} s", TIMEOUT.as_secs())),
    }
}

fn unheard(why: &str) -> Check {
    Check::fails(
        NAME,
        format!("the server does not tell whether there is sound: {why}"),
        "See what it says under encoders; picture and touch may work all the same.",
    )
}

async fn first_bytes(host: &Host, jar: &str, version: ServerVersion) -> Result<[u8; 4], String> {
    let scid = Scid::from_bits(getrandom::u32().map_err(|error| error.to_string())?);
    let options = ServerOptions {
        scid: Some(scid),
        video: false,
        control: false,
        tunnel_forward: true,
        cleanup: false,
        ..ServerOptions::default()
    };
    let command = options
        .command_line(jar, version)
        .map_err(|error| error.to_string())?;
    // The server lives as long as somebody listens to it.
    let _shell = host
        .start_shell(&command)
        .await
        .map_err(|error| error.to_string())?;
    let service = format!("localabstract:{}", handshake::socket_name(Some(scid)));
    let (stream, rest) = first_socket(host, &service)
        .await
        .map_err(|error| error.to_string())?;
    header(stream, rest).await
}

async fn header(mut stream: Stream, begun: Bytes) -> Result<[u8; 4], String> {
    let mut bytes = begun.to_vec();
    while bytes.len() < HEADER_LEN {
        match stream.read_chunk().await {
            Ok(Some(more)) => bytes.extend_from_slice(&more),
            Ok(None) => return Err("its socket closed".to_owned()),
            Err(end) => return Err(end.to_string()),
        }
    }
    let mut codec = [0; 4];
    codec.copy_from_slice(&bytes[DEVICE_NAME_LEN..HEADER_LEN]);
    Ok(codec)
}

/// What the four bytes say.
pub(super) fn judge(bytes: [u8; 4]) -> Check {
    match handshake::decode_audio_header(bytes) {
        Some(AudioStart::Codec(codec)) => {
            Check::ok(NAME, format!("its sound is captured, in {}", codec.name()))
        }
        Some(AudioStart::Disabled) => Check::warning(
            NAME,
            "the device does not let its sound be captured",
            "Take Android 11 or later, with the screen unlocked on 11; picture and touch do without.",
        ),
        Some(AudioStart::ConfigurationError) => Check::fails(
            NAME,
            "the device has no encoder for its sound",
            "Take an image with an encoder for Opus; picture and touch do without.",
        ),
        None => Check::fails(
            NAME,
            format!("the server says {bytes:02x?} in place of a codec"),
            "The file and --scrcpy-version have to be of the same release.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use adb::banner::{Banner, Product};
    use adb::daemon;

    use super::*;

    /// What is found on a device whose server says these pieces, and then hangs up.
    async fn found(pieces: &[&[u8]]) -> Check {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let product = Product {
            name: "trial".to_owned(),
            model: "Trial".to_owned(),
            device: "trial".to_owned(),
        };
        let device = daemon::Options::open(Banner::device(&product, &["shell_v2"]));
        let (host, daemon) = tokio::join!(Host::connect_over(near), device.accept_over(far));
        let (host, mut daemon) = (host.unwrap(), daemon.unwrap());
        let serving = async {
            let mut shells = Vec::new();
            loop {
                let open = daemon.next_open().await.expect("the host is there");
                let is_shell = open.service().starts_with("shell");
                let mut stream = open.accept().unwrap();
                if is_shell {
                    shells.push(stream);
                    continue;
                }
                for piece in pieces {
                    stream.send(piece).await.unwrap();
                }
            }
        };
        tokio::select! {
            check = ask(&host, "/x", ServerVersion::NEWEST) => check,
            () = serving => unreachable!("it serves for ever"),
        }
    }

    #[tokio::test]
    async fn four_bytes_say_whether_there_is_sound() {
        let name = [0; DEVICE_NAME_LEN];
        for (codec, verdict) in [
            (b"opus", "ok"),
            (&[0; 4], "warning"),
            (&[0, 0, 0, 1], "fails"),
            (b"what", "fails"),
        ] {
            let check = found(&[&[0], &name[..20], &name[20..], &codec[..3], &codec[3..]]).await;
            assert_eq!(check.verdict.word(), verdict, "{check}");
            let check = found(&[&[&[0], &name[..], codec, b"and sound"].concat()]).await;
            assert_eq!(check.verdict.word(), verdict, "in one piece: {check}");
        }
        let check = found(&[&[0], &name, b"op"]).await;
        assert!(
            check.verdict.word() == "fails" && check.found.contains("closed"),
            "{check}"
        );
    }

    #[test]
    fn without_a_server_the_api_level_is_all_that_is_known() {
        let said = [Some(34), Some(30), Some(29), None].map(|sdk| by_level(sdk).verdict.word());
        assert_eq!(said, ["ok", "warning", "warning", "warning"]);
    }
}
