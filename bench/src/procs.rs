//! What processes cost, and what the machine was doing meanwhile: the one door to `/proc`.
//!
//! ```text
//!  /proc/<pid>/stat     pid (comm) state ppid … utime(14) stime(15) …     CPU, in ticks of 10 ms
//!  /proc/<pid>/cmdline  argv, each closed by a zero byte
//!  /proc/<pid>/statm    … resident pages in the second field
//!  /proc/<pid>/smaps_rollup   Pss: shared pages divided among their users; may be unreadable
//!  /proc/stat           cpu user nice system idle iowait irq softirq steal
//!  /proc/loadavg        1, 5, 15 minutes
//! ```
//!
//! CPU is the difference of two samples, user and system together, of the whole process with all its
//! threads, also those that ended. Parsers are pure and tested on fixed text; only the functions at
//! the end read files. Fields as in proc(5) of Linux 6.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// `USER_HZ`, which `/proc` counts in, is 100 on every architecture that Rust has a Linux for.
const TICK: Duration = Duration::from_millis(10);
/// Linux on x86-64 and most of arm64; only `statm` depends on it.
const PAGE_BYTES: u64 = 4096;

/// A process number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Pid(pub u32);

/// One process at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// Its command line; empty for a kernel thread or a process that is ending.
    pub argv: Vec<String>,
    /// User and system time since it started.
    pub cpu: Duration,
}

impl Process {
    /// The file name of the program.
    #[must_use]
    pub fn program(&self) -> &str {
        let path = self.argv.first().map_or("", String::as_str);
        path.rsplit('/').next().unwrap_or(path)
    }

    /// The value after an option: `--name X` or `--name=X`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.argv
            .iter()
            .enumerate()
            .find_map(|(at, word)| match word.strip_prefix(name)? {
                "" => self.argv.get(at + 1).map(String::as_str),
                rest => rest.strip_prefix('='),
            })
    }
}

/// All processes at one time.
#[derive(Debug, Clone, Default)]
pub struct Table(HashMap<Pid, Process>);

impl Table {
    /// Every process, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }

    /// A process and all that it started, directly or not.
    #[must_use]
    pub fn tree(&self, root: Pid) -> HashSet<Pid> {
        let mut tree = HashSet::from([root]);
        loop {
            let before = tree.len();
            let children = self.iter().filter(|process| tree.contains(&process.parent));
            let children: Vec<Pid> = children.map(|process| process.pid).collect();
            tree.extend(children);
            if tree.len() == before {
                return tree;
            }
        }
    }

    /// CPU time that `pids` used since `before`. One that is new since then counts from its start;
    /// one that has ended since then is not known any more.
    #[must_use]
    pub fn cpu_since(&self, before: &Self, pids: &HashSet<Pid>) -> Duration {
        let used = |process: &Process| {
            let earlier = before
                .0
                .get(&process.pid)
                .map_or(Duration::ZERO, |earlier| earlier.cpu);
            process.cpu.saturating_sub(earlier)
        };
        pids.iter().filter_map(|pid| self.0.get(pid)).map(used).sum()
    }
}

impl FromIterator<Process> for Table {
    fn from_iter<I: IntoIterator<Item = Process>>(processes: I) -> Self {
        Self(
            processes
                .into_iter()
                .map(|process| (process.pid, process))
                .collect(),
        )
    }
}

/// Memory of one or several processes, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Resident: counts a shared page once for each process.
    pub rss: u64,
    /// Proportional: a shared page is divided among its users. None when any process would not say.
    pub pss: Option<u64>,
}

/// What all cores did since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MachineTime {
    /// Not idle and not stolen.
    pub busy: Duration,
    /// Idle or waiting for a disk.
    pub idle: Duration,
    /// Taken by the hypervisor for other guests.
    pub steal: Duration,
}

/// Parses `/proc/<pid>/stat`; `None` when it is not one.
#[must_use]
pub fn parse_stat(text: &str) -> Option<(Pid, Pid, Duration)> {
    let pid = text.split_once(' ')?.0.parse().ok()?;
    // The command stands in parentheses and may itself hold spaces and parentheses.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let user: u32 = fields.get(11)?.parse().ok()?;
    let system: u32 = fields.get(12)?.parse().ok()?;
    Some((Pid(pid), Pid(parent), TICK * user.checked_add(system)?))
}

/// Parses `/proc/<pid>/cmdline`.
#[must_use]
pub fn parse_cmdline(bytes: &[u8]) -> Vec<String> {
    let words = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if words.is_empty() {
        return Vec::new();
    }
    words
        .split(|&byte| byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Parses the proportional size of `/proc/<pid>/smaps_rollup`, bytes.
#[must_use]
pub fn parse_pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Parses the resident size of `/proc/<pid>/statm`, bytes.
#[must_use]
pub fn parse_rss(text: &str) -> Option<u64> {
    text.split_ascii_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()?
        .checked_mul(PAGE_BYTES)
}

/// Parses the first line of `/proc/stat`.
#[must_use]
pub fn parse_machine(text: &str) -> Option<MachineTime> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u32> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let &[user, nice, system, idle, iowait, irq, softirq, steal, ..] = ticks.as_slice() else {
        return None;
    };
    Some(MachineTime {
        busy: [user, nice, system, irq, softirq]
            .into_iter()
            .map(|ticks| TICK * ticks)
            .sum(),
        idle: TICK * idle + TICK * iowait,
        steal: TICK * steal,
    })
}

/// Parses the one-minute load of `/proc/loadavg`.
#[must_use]
pub fn parse_load(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Parses the first processor's name in `/proc/cpuinfo`.
#[must_use]
pub fn parse_cpu_model(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// All processes now. Those that end while being read are left out.
///
/// # Errors
/// When `/proc` itself cannot be listed.
pub fn table() -> io::Result<Table> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| process(&entry.ok()?.path())).collect())
}

fn process(folder: &Path) -> Option<Process> {
    folder.file_name()?.to_str()?.parse::<u32>().ok()?;
    let (pid, parent, cpu) = parse_stat(&fs::read_to_string(folder.join("stat")).ok()?)?;
    let argv = parse_cmdline(&fs::read(folder.join("cmdline")).ok()?);
    Some(Process {
        pid,
        parent,
        argv,
        cpu,
    })
}

/// Memory of several processes together. A process that has ended counts as nothing.
#[must_use]
pub fn memory(pids: &HashSet<Pid>) -> Memory {
    let mut sum = Memory { rss: 0, pss: Some(0) };
    for pid in pids {
        let folder = Path::new("/proc").join(pid.0.to_string());
        let Some(rss) = fs::read_to_string(folder.join("statm"))
            .ok()
            .as_deref()
            .and_then(parse_rss)
        else {
            continue;
        };
        let pss = fs::read_to_string(folder.join("smaps_rollup"))
            .ok()
            .as_deref()
            .and_then(parse_pss);
        sum = Memory {
            rss: sum.rss + rss,
            pss: sum.pss.zip(pss).map(|(sum, pss)| sum + pss),
        };
    }
    sum
}

/// What all cores did until now; zeros if the kernel does not say.
#[must_use]
pub fn machine() -> MachineTime {
    fs::read_to_string("/proc/stat")
        .ok()
        .as_deref()
        .and_then(parse_machine)
        .unwrap_or_default()
}

/// The load average of the last minute.
#[must_use]
pub fn load() -> Option<f64> {
    parse_load(&fs::read_to_string("/proc/loadavg").ok()?)
}

/// The first processor's name.
#[must_use]
pub fn cpu_model() -> Option<String> {
    parse_cpu_model(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// Whether this process is root, by the owner of its own entry.
#[must_use]
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a (nasty) name) S 17 4242 4242 0 -1 4194560 1000 0 2 0 150 25 3 4 20 0 9 0 \
                        123456 1000000 2000 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0";

    fn process(pid: u32, parent: u32, cpu_ms: u64) -> Process {
        let argv = vec![
            "/opt/farglass".to_owned(),
            "device".to_owned(),
            "--name".to_owned(),
            "one".to_owned(),
        ];
        Process {
            pid: Pid(pid),
            parent: Pid(parent),
            argv,
            cpu: Duration::from_millis(cpu_ms),
        }
    }

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        assert_eq!(
            parse_stat(STAT),
            Some((Pid(4242), Pid(17), Duration::from_millis(1750)))
        );
    }

    #[test]
    fn a_stat_that_is_cut_short_is_refused() {
        for text in [
            "",
            "12",
            "12 (x",
            "12 (x) S 1",
            "x (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13",
        ] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }

    #[test]
    fn a_command_line_is_split_at_its_zero_bytes() {
        assert_eq!(
            parse_cmdline(b"farglass\0up\0--port\0\0"),
            ["farglass", "up", "--port", ""]
        );
        assert!(parse_cmdline(b"").is_empty());
    }

    #[test]
    fn sizes_are_read_in_bytes() {
        assert_eq!(
            parse_pss("ffff r--p\nRss:   900 kB\nPss:   512 kB\nPss_Dirty: 3 kB\n"),
            Some(512 * 1024)
        );
        assert_eq!(parse_pss("Rss: 900 kB"), None);
        assert_eq!(parse_rss("5000 250 30 1 0 40 0"), Some(250 * 4096));
    }

    #[test]
    fn the_machines_time_is_split_into_busy_idle_and_stolen() {
        let time = parse_machine("cpu  100 10 50 700 40 5 5 30 0 0\ncpu0 1 2 3\n").unwrap();
        assert_eq!(time.busy, Duration::from_millis(1700));
        assert_eq!(time.idle, Duration::from_millis(7400));
        assert_eq!(time.steal, Duration::from_millis(300));
        assert_eq!(parse_machine("cpu  1 2 3"), None);
    }

    #[test]
    fn load_and_processor_are_read() {
        assert_eq!(parse_load("1.25 0.50 0.10 2/300 4242\n"), Some(1.25));
        let info = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(parse_cpu_model(info).as_deref(), Some("Some CPU @ 2 GHz"));
    }

    #[test]
    fn a_tree_holds_children_and_their_children() {
        let table: Table = [
            process(1, 0, 0),
            process(10, 1, 0),
            process(11, 10, 0),
            process(20, 1, 0),
        ]
        .into_iter()
        .collect();
        assert_eq!(table.tree(Pid(10)), HashSet::from([Pid(10), Pid(11)]));
    }

    #[test]
    fn cpu_is_the_difference_of_two_samples_and_a_newcomer_counts_whole() {
        let before: Table = [process(10, 1, 500)].into_iter().collect();
        let after: Table = [process(10, 1, 800), process(11, 10, 50), process(12, 1, 999)]
            .into_iter()
            .collect();
        let pids = HashSet::from([Pid(10), Pid(11), Pid(77)]);
        assert_eq!(after.cpu_since(&before, &pids), Duration::from_millis(350));
    }

    #[test]
    fn options_are_found_in_both_spellings() {
        let mut one = process(1, 0, 0);
        assert_eq!((one.program(), one.option("--name")), ("farglass", Some("one")));
        one.argv = vec![
            "farglass".to_owned(),
            "--name=two".to_owned(),
            "--named".to_owned(),
        ];
        assert_eq!((one.option("--name"), one.option("--port")), (Some("two"), None));
    }

    #[test]
    fn this_process_is_in_the_table_and_has_memory() {
        let own = Pid(std::process::id());
        let table = table().unwrap();
        assert!(table.iter().any(|process| process.pid == own));
        assert!(memory(&HashSet::from([own])).rss > 0);
        assert!(machine().busy > Duration::ZERO);
    }
}
