//! `CLASSPATH=… app_process / com.genymobile.scrcpy.Server …`: starts the stand-in for scrcpy's server and runs with it.
//!
//! Android's `app_process` runs any class; the one that this device has is the server that a stand-in file on the
//! class path stands for. Everything else fails as a missing class does.

use crate::scrcpy_server::{self, Launch, Output};
use crate::stand_in::stand_in_version;

use super::Call;
use super::console::{HungUp, Sink};

/// The class that starts scrcpy's server.
const SERVER_CLASS: &str = "com.genymobile.scrcpy.Server";
/// What a shell tells of a process that aborted: 128 + SIGABRT.
const ABORTED: u8 = 134;

/// What a shell tells of a process that was asked to end: 128 + SIGTERM.
const TERMINATED: u8 = 143;

/// Runs until the server ends. Dropping the run kills the server.
pub(super) async fn run(call: &Call<'_>, args: &[&str], out: &Sink, err: &Sink) -> Result<u8, HungUp> {
    let (class, args) = match args {
        [_, class, args @ ..] => (*class, args),
        _ => {
            err.print("Error: no class name or --zygote supplied.\n").await?;
            return Ok(10);
        }
    };
    let Some(launch) = launch(call, class, args) else {
        err.print(format!("Error: could not find class '{class}'\nAborted\n"))
            .await?;
        return Ok(ABORTED);
    };
    let process = call
        .userland
        .processes
        .begin(format!("app_process {}", call.args.join(" ")));
    let mut running = scrcpy_server::start(call.userland, launch);
    loop {
        let output = tokio::select! {
            output = running.next() => output,
            () = process.killed() => return Ok(TERMINATED),
        };
        // A shell that nobody reads any more holds its program, but does not save it.
        let printed = async {
            match output {
                Some(Output::Stdout(line)) => out.print(line).await.map(|()| None),
                Some(Output::Stderr(line)) => err.print(line).await.map(|()| None),
                Some(Output::Exit(code)) => Ok(Some(code)),
                // Without an exit code it was killed: 128 + SIGKILL.
                None => Ok(Some(137)),
            }
        };
        tokio::select! {
            printed = printed => if let Some(code) = printed? {
                return Ok(code);
            },
            () = process.killed() => return Ok(TERMINATED),
        }
    }
}

fn launch(call: &Call<'_>, class: &str, args: &[&str]) -> Option<Launch> {
    let path = call.variables.get("CLASSPATH")?.clone();
    let files = call.userland.files.clone();
    let content = files.read(&path).ok()?.to_bytes();
    let own_version = stand_in_version(&content)
        .filter(|_| class == SERVER_CLASS)?
        .to_owned();
    let remove_jar = move || {
        // Gone already is as good.
        let _ = files.remove(&path, crate::files::Depth::FileOnly);
    };
    Some(Launch {
        own_version,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        remove_jar: Box::new(remove_jar),
    })
}
