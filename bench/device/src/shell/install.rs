//! `pm install`: takes an APK from the input or from a file, keeps it below `/data/app`, and tells from it what
//! `dumpsys package` says. Also as `cmd package install -S SIZE`, which is what `adb install` runs.
//!
//! The APK's code does not run, and its signature is not looked at. What counts is that it is there: it is listed,
//! started, cleared and uninstalled like any other.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::{Call, Done};
use crate::android::PackageError;
use crate::apk::{self, MAX_APK, Manifest};
use crate::files::{Attributes, Depth};
use crate::userland::Userland;

/// Where installed packages live.
const APPS: &str = "/data/app";

/// Why an APK was not installed, in Android's words.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("INSTALL_PARSE_FAILED_NOT_APK: {0}")]
    NotApk(#[from] apk::ApkError),
    #[error("INSTALL_FAILED_INVALID_APK: {got} of {size} bytes came")]
    CutOff { got: usize, size: usize },
    #[error("INSTALL_FAILED_INVALID_URI: {0}")]
    NoFile(String),
    #[error("INSTALL_FAILED_INSUFFICIENT_STORAGE")]
    NoSpace,
    #[error(
        "INSTALL_FAILED_VERSION_DOWNGRADE: Downgrade detected: Update version code {new} is older than current {old}"
    )]
    Downgrade { new: u64, old: u64 },
    #[error(
        "INSTALL_FAILED_UPDATE_INCOMPATIBLE: Existing package {0} signatures do not match newer version; ignoring!"
    )]
    OtherOwner(String),
}

/// What was asked.
struct Order<'a> {
    source: Source<'a>,
    allows_downgrade: bool,
}

enum Source<'a> {
    Input(usize),
    File(&'a str),
}

/// Installs, or tells about an installed package; `None` when the call is about something else.
pub(super) async fn run(call: &Call<'_>, input: &mut mpsc::Receiver<Bytes>) -> Option<Done> {
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let args = match (call.name, args.as_slice()) {
        ("pm", ["install", args @ ..]) | ("cmd", ["package", "install", args @ ..]) => args,
        ("dumpsys", ["package", package]) => return Some(describe(call.userland, package)),
        _ => return None,
    };
    let order = match order(args) {
        Ok(order) => order,
        Err(text) => return Some(Done::fail(1, text)),
    };
    let installed = match take(call.userland, &order.source, input).await {
        Ok(content) => install(call, content, order.allows_downgrade),
        Err(failure) => Err(failure),
    };
    Some(match installed {
        Ok(()) => Done::ok("Success\n"),
        Err(failure) => Done {
            out: format!("Failure [{failure}]\n").into_bytes(),
            code: 1,
            ..Done::default()
        },
    })
}

/// Deletes the APKs of packages that are gone.
pub(super) fn tidy(call: &Call<'_>) {
    if !call.args.iter().any(|arg| arg == "uninstall") {
        return;
    }
    forget_others(call.userland);
}

/// Deletes the APKs that no package has any more.
fn forget_others(userland: &Userland) {
    let Userland { android, files, .. } = userland;
    let packages = android.packages().into_iter();
    let code: Vec<String> = packages
        .filter_map(|name| android.package(&name))
        .map(|package| package.code)
        .collect();
    for (name, _) in files.list(APPS).unwrap_or_default() {
        let folder = format!("{APPS}/{name}/");
        if !code.iter().any(|code| code.starts_with(&folder)) {
            // Nobody else removes anything here; if it is gone, all the better.
            let _ = files.remove_as_system(&folder, Depth::Everything);
        }
    }
}

fn order<'a>(args: &[&'a str]) -> Result<Order<'a>, String> {
    let (mut size, mut file, mut allows_downgrade) = (None, None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().copied().ok_or("Error: Argument expected\n");
        match *arg {
            "-S" => {
                let text = value()?;
                size = Some(
                    text.parse()
                        .map_err(|_| format!("Error: Invalid size {text}\n"))?,
                );
            }
            "-d" => allows_downgrade = true,
            // Taken and without effect: one user, permissions that nothing asks for, one kind of storage.
            "-r" | "-t" | "-g" | "-f" | "--dont-kill" | "-" => {}
            "--user" | "-i" | "--abi" => drop(value()?),
            option if option.starts_with('-') => return Err(format!("Error: Unknown option: {option}\n")),
            path => file = Some(path),
        }
    }
    let source = match (size, file) {
        (_, Some(path)) => Source::File(path),
        (Some(size), None) => Source::Input(size),
        (None, None) => return Err("Error: must either specify a package size or an APK file\n".to_owned()),
    };
    Ok(Order {
        source,
        allows_downgrade,
    })
}

async fn take(
    userland: &Userland,
    source: &Source<'_>,
    input: &mut mpsc::Receiver<Bytes>,
) -> Result<Bytes, Failure> {
    match source {
        Source::File(path) => userland
            .files
            .read(path)
            .map(|content| content.to_bytes())
            .map_err(|error| Failure::NoFile(format!("{path}: {error}"))),
        Source::Input(size) if *size > MAX_APK => Err(Failure::NoSpace),
        Source::Input(size) => {
            let mut content = BytesMut::new();
            while content.len() < *size {
                let Some(data) = input.recv().await else {
                    let got = content.len();
                    return Err(Failure::CutOff { got, size: *size });
                };
                content.extend_from_slice(&data);
            }
            content.truncate(*size);
            Ok(content.freeze())
        }
    }
}

fn install(call: &Call<'_>, content: Bytes, allows_downgrade: bool) -> Result<(), Failure> {
    let Userland { android, files, .. } = call.userland;
    let manifest = apk::read(&content)?;
    let package = &manifest.package;
    let old = present(call.userland, package).map_or(0, |old| old.version_code);
    if manifest.version_code < old && !allows_downgrade {
        return Err(Failure::Downgrade {
            new: manifest.version_code,
            old,
        });
    }
    let label = manifest.label.as_deref().unwrap_or(package);
    android.install_app(package, label).map_err(|error| match error {
        PackageError::Full => Failure::NoSpace,
        _ => Failure::OtherOwner(package.clone()),
    })?;
    let attributes = Attributes {
        permissions: 0o644,
        mtime_s: call.now_s,
    };
    let code = code_of(call.userland, package).ok_or(Failure::NoSpace)?;
    let kept = files.write_as_system(&code, content, attributes);
    if kept.is_err() && old == 0 {
        // What has no APK is not installed; that it is there was true a moment ago.
        let _ = android.uninstall(package);
    }
    if kept.is_ok() {
        forget_others(call.userland);
    }
    kept.map_err(|_| Failure::NoSpace)
}

/// What the APK of an installed package says.
fn present(userland: &Userland, package: &str) -> Option<Manifest> {
    apk::read(&userland.files.read(&code_of(userland, package)?).ok()?.to_bytes()).ok()
}

fn describe(userland: &Userland, package: &str) -> Done {
    if userland.android.package(package).is_none() {
        return Done::ok(format!("Unable to find package: {package}\n"));
    }
    let mut text = format!("Packages:\n  Package [{package}]:\n");
    if let Some(manifest) = present(userland, package) {
        let code = code_of(userland, package).unwrap_or_default();
        let folder = code.trim_end_matches("/base.apk");
        text += &format!(
            "    codePath={folder}\n    versionCode={}\n",
            manifest.version_code
        );
        text += &format!(
            "    versionName={}\n",
            manifest.version_name.as_deref().unwrap_or("null")
        );
    }
    Done::ok(text)
}

fn code_of(userland: &Userland, package: &str) -> Option<String> {
    Some(userland.android.package(package)?.code)
}
