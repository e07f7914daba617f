//! What the recipes and the README tell people to type: each option of `farglass` in them is one that the binary has, and
//! each device is one that an agent can be given. The binary is asked by `--help`, which is clap's own definition.
//!
//! What Compose reads in the recipes is the matter of `cargo xtask tidy`.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use host_agent::config::DeviceConfig;

const WORDS: [&str; 6] = ["up", "control", "agent", "device", "doctor", "bench"];

/// Of other programs, where a text of ours names one alone.
const OF_OTHERS: [&str; 1] = ["--gpu"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The recipes' texts and the README, by their paths below the top.
fn texts() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned(), "deploy/recipes/README.md".to_owned()];
    for recipe in std::fs::read_dir(top().join("deploy/recipes")).unwrap() {
        let name = recipe.unwrap().file_name().into_string().unwrap();
        if !name.contains('.') {
            paths.push(format!("deploy/recipes/{name}/README.md"));
        }
    }
    assert!(paths.len() >= 5, "{paths:?}");
    let read = |path: String| (path.clone(), std::fs::read_to_string(top().join(path)).unwrap());
    paths.into_iter().map(read).collect()
}

/// The pieces of a text that are to be typed: what stands between backticks, and the lines of blocks.
fn typed(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut block = false;
    // A line of a block that goes on in the next one.
    let mut begun = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if block {
            match line.trim_end().strip_suffix('\\') {
                Some(part) => begun += part,
                None => pieces.push(std::mem::take(&mut begun) + line),
            }
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    pieces
}

/// `--name` of each option in a piece, and which word of `farglass` stands before it, if one does.
fn options(piece: &str) -> Vec<(Option<&'static str>, String)> {
    let piece = piece.split(" #").next().unwrap_or(piece);
    let mut word = None;
    let mut after_name = false;
    let mut found = Vec::new();
    for part in piece.split_whitespace() {
        if after_name && let Some(known) = WORDS.iter().find(|known| **known == part) {
            word = Some(*known);
        }
        after_name = part.ends_with("farglass");
        if part.starts_with("--") && part.len() > 2 {
            let name = part.trim_start_matches('-').split(['=', ',', ']', ';', '.', ')']);
            found.push((word, format!("--{}", name.into_iter().next().unwrap())));
        }
    }
    found
}

/// The options that `farglass WORD --help` tells.
fn help(words: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_farglass"))
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| {
        let at = line
            .trim_start()
            .strip_prefix("-h, ")
            .unwrap_or(line.trim_start());
        at.starts_with("--")
            .then(|| at.split([' ', '=', '[', ',']).next().unwrap_or(at).to_owned())
    });
    lines.collect()
}

#[test]
fn every_option_of_farglass_that_people_are_told_to_type_is_there() {
    let mut known: BTreeMap<&str, BTreeSet<String>> =
        WORDS.iter().map(|word| (*word, help(&[word]))).collect();
    for kind in ["quick", "storm"] {
        known.get_mut("bench").unwrap().extend(help(&["bench", kind]));
    }
    let anywhere: BTreeSet<&String> = known.values().flatten().collect();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (path, text) in texts() {
        for piece in typed(&text) {
            let is_ours = piece.contains("farglass") || piece.starts_with("--");
            for (word, option) in options(&piece).into_iter().filter(|_| is_ours) {
                asked += 1;
                let there = match word {
                    Some(word) => known[word].contains(&option),
                    None => anywhere.contains(&option) || OF_OTHERS.contains(&option.as_str()),
                };
                if !there {
                    wrong.push(format!("{path}: {option} of `{piece}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 20, "only {asked} options were found in the texts");
}

#[test]
fn every_device_that_a_recipe_names_is_one_that_an_agent_takes_and_its_compose_file_publishes() {
    let mut named = 0;
    for (path, text) in texts() {
        let Some(folder) = path
            .strip_suffix("/README.md")
            .filter(|path| path.matches('/').count() == 2)
        else {
            continue;
        };
        let compose = std::fs::read_to_string(top().join(folder).join("compose.yaml")).unwrap();
        for piece in typed(&text) {
            for pair in piece.split_whitespace().collect::<Vec<_>>().windows(2) {
                let [option, device] = pair else { continue };
                if *option != "--device" || device.starts_with("NAME=") {
                    continue;
                }
                named += 1;
                // The doctor is asked about devices that have no name yet.
                let told = if device.contains("=127") {
                    (*device).to_owned()
                } else {
                    format!("new={device}")
                };
                let parsed = told.parse::<DeviceConfig>();
                assert!(parsed.is_ok(), "{path}: {device}: {parsed:?}");
                let address = told.split(['=', ',']).nth(1).unwrap();
                assert!(
                    compose.contains(&format!("\"{address}:5555\"")),
                    "{path}: nobody publishes {address}"
                );
            }
        }
    }
    assert!(named >= 6, "only {named} devices were found in the recipes");
}
