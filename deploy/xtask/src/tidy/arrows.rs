//! Arrows between crates, exactly as ARCHITECTURE.md draws them, and the libraries that a crate must not know.
//!
//! ```text
//!            farglass                    puts everything together
//!     ┌───────┬──┴───────┬───────────┐
//!   bench  control   host-agent      │
//!     │       └──┬───────┤           │
//!     │      signaling   gateway   device   bench drives the rest from outside, as processes
//!     │          └───┬───┘           │
//!     └────────► protocol      scrcpy, adb ◄─ host-agent
//! ```
//! An arrow that is drawn and not used is found too: the table says what there is, not what would be allowed.
//! Only what is shipped is looked at (`normal` and `build` edges): a test may bring a peer from above.

use super::Finding;

struct Crate {
    name: &'static str,
    /// Crates of the house that it may depend on.
    may: &'static [&'static str],
    /// Libraries that it must not know: the absence is an invariant.
    must_not: &'static [&'static str],
}

const DATABASE_AND_HTTP: &[&str] = &["sqlx", "axum", "hyper", "reqwest", "serde_json"];
const IO: &[&str] = &["tokio", "nix", "socket2", "axum", "quinn", "rtc"];
const MEDIA: &[&str] = &["rtc", "openh264"];

const HOUSE: &[Crate] = &[
    Crate {
        name: "protocol",
        may: &[],
        must_not: IO,
    },
    Crate {
        name: "scrcpy",
        may: &[],
        must_not: IO,
    },
    Crate {
        name: "adb",
        may: &[],
        must_not: &["rtc", "axum", "sqlx"],
    },
    Crate {
        name: "gateway",
        may: &["protocol"],
        must_not: DATABASE_AND_HTTP,
    },
    Crate {
        name: "device",
        may: &["adb", "scrcpy"],
        must_not: &["rtc", "axum", "sqlx"],
    },
    Crate {
        name: "signaling",
        may: &["protocol"],
        must_not: &["sqlx", "rtc"],
    },
    Crate {
        name: "host-agent",
        may: &["adb", "scrcpy", "gateway", "protocol", "signaling"],
        must_not: &["sqlx", "axum", "rtc"],
    },
    Crate {
        name: "control",
        may: &["protocol", "signaling"],
        must_not: MEDIA,
    },
    Crate {
        name: "bench",
        may: &["protocol"],
        must_not: &["sqlx"],
    },
    Crate {
        name: "farglass",
        may: &[
            "control",
            "host-agent",
            "device",
            "bench",
            "signaling",
            "protocol",
        ],
        must_not: &["sqlx", "rtc"],
    },
    Crate {
        name: "xtask",
        may: &[],
        must_not: IO,
    },
    Crate {
        name: "fuzz",
        may: &[
            "adb",
            "scrcpy",
            "protocol",
            "gateway",
            "signaling",
            "control",
            "device",
            "host-agent",
        ],
        must_not: &["sqlx"],
    },
];

/// `tree` is what `cargo tree --prefix depth --depth 1` prints: `0gateway v0.1.0 (/path)`, `1bytes v1.10.0`.
pub(super) fn check(tree: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, to) in dependencies(tree) {
        match HOUSE.iter().find(|known| known.name == name) {
            Some(known) => of(known, &to, &mut findings),
            None => findings.push(Finding::new(
                name,
                "is a new crate: draw its arrows in tidy/arrows.rs",
            )),
        }
    }
    findings
}

/// Each crate of the tree with the names that it depends on.
fn dependencies(tree: &str) -> Vec<(&str, Vec<&str>)> {
    let mut crates: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in tree.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('0') {
            crates.push((name, Vec::new()));
        } else if let (Some(name), Some((_, to))) = (name.strip_prefix('1'), crates.last_mut()) {
            to.push(name);
        }
    }
    crates
}

fn of(known: &Crate, to: &[&str], findings: &mut Vec<Finding>) {
    for to in to {
        let ours = HOUSE.iter().any(|known| known.name == *to);
        if ours && !known.may.contains(to) {
            findings.push(Finding::new(
                known.name,
                format!("must not depend on {to}: arrows point downward"),
            ));
        }
        if known.must_not.contains(to) {
            findings.push(Finding::new(
                known.name,
                format!("must not know {to}: its absence is an invariant"),
            ));
        }
    }
    for unused in known.may.iter().filter(|may| !to.contains(may)) {
        findings.push(Finding::new(
            known.name,
            format!("does not depend on {unused}: take the arrow out of tidy/arrows.rs"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_upward_a_banned_library_and_an_unknown_crate_are_found() {
        let tree = "\
0gateway v0.1.0 (/x/gateway)
1protocol v0.1.0 (/x/signaling/protocol)
1control v0.1.0 (/x/control)
1serde_json v1.0.0

0newcomer v0.1.0 (/x/newcomer)
1bytes v1.10.0
";
        let found: Vec<String> = check(tree)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.at, finding.what))
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("gateway: must not depend on control"));
        assert!(found[1].contains("gateway: must not know serde_json"));
        assert!(found[2].contains("newcomer"));
    }

    #[test]
    fn an_arrow_that_nobody_uses_is_found() {
        let found = check("0gateway v0.1.0 (/x/gateway)\n1bytes v1.10.0\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("does not depend on protocol"));
    }

    #[test]
    fn the_table_itself_draws_no_circle() {
        for from in HOUSE {
            let mut reached: Vec<&str> = from.may.to_vec();
            let mut next = 0;
            while let Some(name) = reached.get(next).copied() {
                next += 1;
                let to = HOUSE.iter().find(|known| known.name == name).unwrap();
                assert_ne!(to.name, from.name, "{} reaches itself", from.name);
                reached.extend(
                    to.may
                        .iter()
                        .filter(|more| !reached.contains(more))
                        .collect::<Vec<_>>(),
                );
            }
        }
    }
}
