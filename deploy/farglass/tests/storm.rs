//! Short storms over the real processes, as a part of the test command: everything is killed, people are served in
//! between, and nothing that was promised is broken; with a file, and with two controls on one PostgreSQL. Control and
//! PostgreSQL are also killed while 32 race for one device, and under the running picture of a holder.
//!
//! Longer ones, each from a seed of its own, are run by hand: `farglass bench storm --seconds 300`.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::process::Command;

/// Who dies and who acts when: the same each time, so that a failure is about the change that is tested.
const SEED: &str = "1";
/// Seconds of killing; the start and the quiet moment at the end take some more.
const SECONDS: &str = "12";

#[test]
fn kill_nine_at_random_moments_breaks_no_promise() {
    storm(&["--agents", "1", "--devices", "2"], &["control"]);
}

#[test]
fn kill_nine_of_two_controls_and_their_database_breaks_no_promise() {
    let over = ["--database", "postgres", "--controls", "2"];
    storm(&over, &["control", "postgres"]);
}

/// A storm in which each of these is killed in the middle of a race.
fn storm(over: &[&str], killed: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("storm.json");
    let output = Command::new(env!("CARGO_BIN_EXE_farglass"))
        .args(["bench", "storm", "--seconds", SECONDS, "--seed", SEED, "--json"])
        .arg(&json)
        .args(over)
        .output()
        .unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(output.status.success(), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let kills: u64 = report["kills"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(kills > 0 && report["looks"].as_u64() > Some(0), "{told}");
    assert!(report["grants"].as_u64() > Some(0), "{told}");
    for kind in killed {
        assert!(
            report["races"][kind].as_u64() > Some(0),
            "no race was cut by {kind}: {told}"
        );
    }
    let crossings = report["crossings"].as_array().unwrap();
    assert!(!crossings.is_empty(), "{told}");
    for crossing in crossings {
        let seen = |what: &str| crossing[what].as_u64().unwrap();
        assert!(
            seen("dead") > 0 && seen("touches") > 0 && seen("packets") > 0,
            "{told}"
        );
    }
    assert!(report["violations"].as_array().unwrap().is_empty(), "{told}");
}
