//! For fuzzing: commands with any arguments, run as a script of the shell runs them.
//!
//! ```text
//!   line ─ words::parse ─► name, arguments ─┬─ answers at once: run on a device of its own
//!                                           └─ logcat: its arguments, for it would not end
//! ```
//!
//! What takes time or talks to its input is left out. Each input has a fresh device, so that one that breaks something does it
//! again; they share a display that nobody films.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Call, instant, logcat, words};
use crate::Userland;
use crate::android::{Android, Model};
use crate::display::Display;

/// Lines that one input may have; more are left out.
const LINES_MAX: usize = 16;

/// Runs a line after the other.
pub fn fuzz_commands(bytes: &[u8]) {
    static DISPLAY: OnceLock<Option<Display>> = OnceLock::new();
    let display = DISPLAY.get_or_init(|| Some(Display::spawn(android(), 1).ok()?.0));
    let Some(display) = display.clone() else { return };
    let userland = Userland::new(android(), display, 1);
    let variables = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).lines().take(LINES_MAX) {
        for (_, command) in words::parse(line).unwrap_or_default() {
            let words = command.words.iter();
            let words: Vec<String> = words.filter_map(|word| word.expand(|_| None)).collect();
            let Some((name, args)) = words.split_first() else {
                continue;
            };
            let call = Call {
                userland: &userland,
                name,
                args,
                variables: &variables,
                now_s: 1,
                terminal: None,
            };
            if name == "logcat" {
                logcat::fuzz(&userland.android, args);
            } else {
                let _ = instant::run(&call);
            }
        }
    }
    // What was stored is printed as well.
    let _ = userland.android.dumpsys();
}

fn android() -> Android {
    Android::new(Model {
        name: "Fuzzed".to_owned(),
        width: 320,
        height: 320,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    /// A line for each tool with arguments of its own.
    const LINES: [&str; 16] = [
        "logcat -d -b main,system -v threadtime -t 5 *:S a:W",
        "logcat -T '01-31 00:00:00.000' -s x",
        "log -p w -t a b",
        "input -d 1 tap 1 2",
        "input keyevent --longpress 3 HOME",
        "input text a%sb",
        "wm size 100x200",
        "wm density 1",
        "dumpsys battery set level 5",
        "pm list packages -3 -f",
        "cmd package query-activities --brief -a x -c y",
        "settings put global a b",
        "am start -n a/.B -a x -c y --user 0",
        "find /sdcard -maxdepth 1 -type f -print0",
        "rm -rf /sdcard/x",
        "pkill -f '[s]cid=1'",
    ];

    #[test]
    fn no_argument_of_no_command_ends_the_device() {
        let mut dice = Dice::new(1);
        let mut below = |n: usize| dice.index(n);
        for _ in 0..3_000 {
            let mut bytes = LINES[below(LINES.len())].as_bytes().to_vec();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] = below(256) as u8,
                    1 => drop(bytes.drain(at..)),
                    2 => bytes.extend_from_within(at..),
                    _ => bytes
                        .splice(at..at, " 99999999999999999999 ".bytes())
                        .for_each(drop),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            fuzz_commands(&bytes);
        }
    }
}
