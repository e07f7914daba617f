//! `am` and `monkey`: bring apps to the front, end them.
//!
//! Every app of this device has one activity, `.MainActivity`; another name does not exist here, and is refused as
//! Android refuses it.

use super::Done;
use crate::android::{Android, PackageError};

/// The one activity that an app has.
pub(super) const ACTIVITY: &str = ".MainActivity";

pub(super) fn am(android: &Android, args: &[&str]) -> Done {
    match args {
        ["start" | "start-activity", rest @ ..] => start(android, rest),
        ["force-stop", rest @ ..] => match without_user(rest) {
            // Android says nothing about a package that it does not have.
            [package] => {
                let _ = android.force_stop(package);
                Done::default()
            }
            _ => Done::fail(255, "Error: no package specified\n"),
        },
        _ => Done::fail(255, "usage: am start|force-stop …\n"),
    }
}

/// `monkey -p PACKAGE -c android.intent.category.LAUNCHER 1`: the usual way to start an app by its package alone.
pub(super) fn monkey(android: &Android, args: &[&str]) -> Done {
    let package = match args {
        ["-p", package, "1"] | ["-p", package, "-c", "android.intent.category.LAUNCHER", "1"] => package,
        _ => {
            return Done::fail(
                1,
                "usage: monkey -p PACKAGE [-c android.intent.category.LAUNCHER] 1\n",
            );
        }
    };
    match android.start(package) {
        Ok(()) => Done::ok("Events injected: 1\n"),
        Err(_) => Done {
            out: b"** No activities found to run, monkey aborted.\n".to_vec(),
            err: String::new(),
            code: 252,
        },
    }
}

/// What `am start` was asked.
#[derive(Default)]
struct Intent<'a> {
    component: Option<&'a str>,
    package: Option<&'a str>,
    action: Option<&'a str>,
    categories: Vec<&'a str>,
    data: Option<&'a str>,
    wait: bool,
    stop_first: bool,
}

fn start(android: &Android, args: &[&str]) -> Done {
    let intent = match intent(args) {
        Ok(intent) => intent,
        Err(error) => return Done::fail(255, format!("Error: {error}\n")),
    };
    let starting = format!("Starting: Intent {{ {} }}\n", intent.describe());
    let failed = |why: String| Done {
        out: starting.clone().into_bytes(),
        err: why,
        code: 1,
    };
    let Some(package) = intent.target() else {
        let intent = intent.describe();
        return failed(format!(
            "Error: Activity not started, unable to resolve Intent {{ {intent} }}\n"
        ));
    };
    let component = intent
        .component
        .map_or_else(|| format!("{package}/{ACTIVITY}"), str::to_owned);
    let missing = || format!("Error type 3\nError: Activity class {{{component}}} does not exist.\n");
    if !is_main(&component) {
        return failed(missing());
    }
    if intent.stop_first {
        // Nothing to stop is no error; the start below tells when the package is missing.
        let _ = android.force_stop(package);
    }
    match android.start(package) {
        Ok(()) if intent.wait => Done::ok(format!(
            "{starting}Status: ok\nActivity: {package}/{ACTIVITY}\nComplete\n"
        )),
        Ok(()) => Done::ok(starting),
        Err(
            PackageError::Unknown(_)
            | PackageError::NoActivity(_)
            | PackageError::System(_)
            | PackageError::Full,
        ) => failed(missing()),
    }
}

fn intent<'a>(args: &[&'a str]) -> Result<Intent<'a>, String> {
    let mut intent = Intent::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .copied()
                .ok_or_else(|| format!("Argument expected after \"{arg}\""))
        };
        match *arg {
            "-W" => intent.wait = true,
            "-S" => intent.stop_first = true,
            "-n" => intent.component = Some(value()?),
            "-p" => intent.package = Some(value()?),
            "-a" => intent.action = Some(value()?),
            "-c" => intent.categories.push(value()?),
            "-d" => intent.data = Some(value()?),
            // Taken and without effect: one user, apps that read no flags.
            "-f" | "--user" | "-t" => drop(value()?),
            // scrcpy starts apps on a virtual display; this command starts them on the device's own.
            "--display" => match value()? {
                "0" => {}
                other => {
                    return Err(format!(
                        "The simulated device starts no app on display {other} by am"
                    ));
                }
            },
            "--activity-clear-top"
            | "--activity-clear-task"
            | "--activity-single-top"
            | "--activity-brought-to-front" => {}
            option if option.starts_with('-') => return Err(format!("Unknown option: {option}")),
            component if component.contains('/') => intent.component = Some(component),
            package => intent.package = Some(package),
        }
    }
    Ok(intent)
}

impl<'a> Intent<'a> {
    /// The package to start, if the intent names one.
    fn target(&self) -> Option<&'a str> {
        let of_component = self.component.and_then(|component| component.split('/').next());
        of_component.or(self.package)
    }

    fn describe(&self) -> String {
        let field = |name: &str, value: Option<&str>| value.map(|value| format!("{name}={value}"));
        let categories =
            (!self.categories.is_empty()).then(|| format!("cat=[{}]", self.categories.join(",")));
        let fields = [
            field("act", self.action),
            categories,
            field("dat", self.data),
            field("pkg", self.package),
            field("cmp", self.component),
        ];
        fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn is_main(component: &str) -> bool {
    component.split_once('/').is_some_and(|(package, activity)| {
        activity == ACTIVITY
            || activity
                .strip_prefix(package)
                .is_some_and(|rest| rest == ACTIVITY)
    })
}

fn without_user<'a>(args: &'a [&'a str]) -> &'a [&'a str] {
    match args {
        ["--user", _, rest @ ..] => rest,
        args => args,
    }
}
