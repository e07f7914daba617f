//! Commands that take time: they print on the way, read their input, or wait.
//!
//! ```text
//!   cat, logcat, nc      print as it comes, for as long as there is something or somebody
//!   sleep, input swipe   wait
//!   app_process          runs a scrcpy server
//!   screencap            draws on another thread
//! ```
//!
//! Dropping the run ends a command and all that it holds, as a signal does. They do not know adb, terminals or frames.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::console::{HungUp, Sink};
use super::{Call, app_process, input, logcat, screencap};
use crate::abstract_sockets::Socket;

/// Longest `sleep`; a longer one is cut to it.
const MAX_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes that `nc` reads at once.
const NC_BYTES: usize = 64 * 1024;

type Input = mpsc::Receiver<Bytes>;

/// Runs a command that takes time; `None` when there is none of this name.
pub(super) async fn run(
    call: &Call<'_>,
    out: Sink,
    err: Sink,
    stdin: &mut Input,
) -> Result<Option<u8>, HungUp> {
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let code = match call.name {
        "cat" => cat(call, &args, &out, &err, stdin).await?,
        "logcat" => logcat::run(&call.userland.android, &args, &out, &err).await?,
        "sleep" => sleep(&args, &err).await?,
        "app_process" => app_process::run(call, &args, &out, &err).await?,
        "screencap" => screencap::run(call, &args, &out, &err).await?,
        "nc" => nc(call, &args, &out, &err, stdin).await?,
        "input" => {
            let done = input::swipe(&call.userland.android, &args).await;
            err.print(done.err).await?;
            done.code
        }
        _ => return Ok(None),
    };
    Ok(Some(code))
}

/// `cat`; an operand `-`, or none, is the input.
async fn cat(
    call: &Call<'_>,
    args: &[&str],
    out: &Sink,
    err: &Sink,
    stdin: &mut Input,
) -> Result<u8, HungUp> {
    let operands = if args.is_empty() { &["-"] } else { args };
    let mut code = 0;
    for operand in operands {
        if *operand == "-" {
            while let Some(data) = stdin.recv().await {
                out.print(data).await?;
            }
            continue;
        }
        match call.userland.files.read(operand) {
            Ok(content) => {
                for piece in content.pieces() {
                    out.print(piece.clone()).await?;
                }
            }
            Err(error) => {
                err.print(format!("cat: {operand}: {error}\n")).await?;
                code = 1;
            }
        }
    }
    Ok(code)
}

async fn sleep(args: &[&str], err: &Sink) -> Result<u8, HungUp> {
    let seconds = args.first().and_then(|text| text.parse::<f64>().ok());
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) => {
            tokio::time::sleep(duration.min(MAX_SLEEP)).await;
            Ok(0)
        }
        None => {
            err.print("sleep: not a duration\n").await?;
            Ok(1)
        }
    }
}

/// `nc -l -p PORT` and `nc HOST PORT` on the device's own loopback; `nc -U @NAME` for an abstract socket.
async fn nc(call: &Call<'_>, args: &[&str], out: &Sink, err: &Sink, stdin: &mut Input) -> Result<u8, HungUp> {
    let userland = call.userland;
    let socket = match args {
        ["-l", "-p", port] => match userland.ports.listen(port) {
            Ok(mut listener) => Ok(listener.accept().await),
            Err(_) => Err("Address already in use"),
        },
        ["localhost" | "127.0.0.1", port] => userland.ports.connect(port).map_err(|_| "Connection refused"),
        ["-U", name] if name.starts_with('@') => userland
            .sockets
            .connect(&name[1..])
            .map_err(|_| "Connection refused"),
        _ => Err("usage: nc -l -p PORT | localhost PORT | -U @NAME"),
    };
    match socket {
        Ok(socket) => talk(socket, out, stdin).await,
        Err(text) => {
            err.print(format!("nc: {text}\n")).await?;
            Ok(1)
        }
    }
}

/// Copies both ways until the other side is done; the end of the input is passed on.
async fn talk(socket: Socket, out: &Sink, stdin: &mut Input) -> Result<u8, HungUp> {
    let (mut reader, mut writer) = tokio::io::split(socket);
    let sending = async {
        while let Some(data) = stdin.recv().await {
            if writer.write_all(&data).await.is_err() {
                return;
            }
        }
        // The other side may be gone already, which is what the receiving half finds out.
        let _ = writer.shutdown().await;
    };
    let receiving = async {
        let mut buffer = vec![0; NC_BYTES];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(0),
                Ok(length) => out.print(Bytes::copy_from_slice(&buffer[..length])).await?,
            }
        }
    };
    tokio::pin!(sending, receiving);
    tokio::select! {
        code = &mut receiving => code,
        () = &mut sending => receiving.await,
    }
}
