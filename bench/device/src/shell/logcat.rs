//! `logcat` and `log`: the device's log, as it was and as it goes on.
//!
//! ```text
//!   logcat                all that is kept, then each new line, until it is closed
//!          -d · -c        what is kept, and end · forget it
//!          -t N · -T N    the last N lines, and end · and go on; N may be a time, 'MM-DD hh:mm:ss.mmm'
//!          -b LIST        main, system, radio, events, crash, all (main, system and crash if not said)
//!          -v FORMAT      threadtime (if not said), time, brief, tag, process, raw, epoch
//!          -s · TAG:L …   filters; a level of S silences
//!   log [-p L] [-t TAG] MESSAGE …
//! ```
//!
//! Times are UTC, which is what a device without a time zone shows. Of logcat's options those above are there; another
//! one is refused.

use super::Done;
use super::console::{HungUp, Sink};
use crate::android::Android;
use crate::android::journal::{Buffer, Level, Line, SYSTEM_PID};

/// What was asked.
struct Request<'a> {
    ends: bool,
    clears: bool,
    since: Since<'a>,
    buffers: Vec<Buffer>,
    format: Format,
    filters: Filters<'a>,
}

/// Where it begins.
#[derive(Clone, Copy)]
enum Since<'a> {
    Ever,
    Last(usize),
    Time(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    ThreadTime,
    Time,
    Brief,
    Tag,
    Process,
    Raw,
    Epoch,
}

/// Which lines are shown: the last filter of a tag decides, else that of `*`. None is silence.
struct Filters<'a> {
    tags: Vec<(&'a str, Option<Level>)>,
    others: Option<Level>,
}

impl Filters<'_> {
    fn show(&self, line: &Line) -> bool {
        let own = self.tags.iter().rev().find(|(tag, _)| *tag == line.tag);
        let least = own.map_or(self.others, |(_, level)| *level);
        least.is_some_and(|least| line.level >= least)
    }
}

/// Prints until it ends by what was asked, or for ever.
pub(super) async fn run(android: &Android, args: &[&str], out: &Sink, err: &Sink) -> Result<u8, HungUp> {
    let request = match request(args) {
        Ok(request) => request,
        Err(text) => {
            err.print(text).await?;
            return Ok(1);
        }
    };
    if request.clears {
        android.clear_log(&request.buffers);
        return Ok(0);
    }
    let mut news = android.watch_log();
    let mut shown = Vec::new();
    let mut seq = 0;
    let mut first = true;
    loop {
        news.mark_unchanged();
        let mut lines = android.log_after(seq);
        seq = lines.last().map_or(seq, |line| line.seq);
        lines.retain(|line| request.buffers.contains(&line.buffer) && request.filters.show(line));
        if std::mem::take(&mut first) {
            since(&mut lines, request.since);
        }
        for line in &lines {
            if !shown.contains(&line.buffer) {
                shown.push(line.buffer);
                out.print(format!("--------- beginning of {}\n", line.buffer.name()))
                    .await?;
            }
            out.print(text(line, request.format)).await?;
        }
        // The device outlives its shell; without it there is nothing more to come.
        if request.ends || news.changed().await.is_err() {
            return Ok(0);
        }
    }
}

/// Leaves out what was before the time, or all but the last.
fn since(lines: &mut Vec<Line>, since: Since<'_>) {
    match since {
        Since::Ever => {}
        Since::Last(count) => drop(lines.drain(..lines.len().saturating_sub(count))),
        Since::Time(time) => lines.retain(|line| date(line.at_us).as_str() >= time),
    }
}

/// `log`: writes a line.
pub(super) fn log(android: &Android, args: &[&str]) -> Done {
    let (mut level, mut tag, mut rest) = (Level::Info, "log", args);
    loop {
        rest = match rest {
            ["-p", letter, rest @ ..] => match letter.chars().next().and_then(Level::of_letter) {
                Some(known) => {
                    level = known;
                    rest
                }
                None => return Done::fail(1, format!("log: bad -p '{letter}'\n")),
            },
            ["-t", name, rest @ ..] => {
                tag = name;
                rest
            }
            rest => break android.write_log(Buffer::Main, level, tag, &rest.join(" ")),
        };
    }
    Done::default()
}

/// For fuzzing: reads arguments, and prints what is there accordingly.
pub(super) fn fuzz(android: &Android, args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Ok(request) = request(&args) else { return };
    let mut lines = android.log_after(0);
    lines.retain(|line| request.buffers.contains(&line.buffer) && request.filters.show(line));
    since(&mut lines, request.since);
    for line in &lines {
        let _ = text(line, request.format);
    }
}

fn request<'a>(args: &[&'a str]) -> Result<Request<'a>, String> {
    let mut request = Request {
        ends: false,
        clears: false,
        since: Since::Ever,
        buffers: Vec::new(),
        format: Format::ThreadTime,
        filters: Filters {
            tags: Vec::new(),
            others: Some(Level::Verbose),
        },
    };
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        let mut value = || {
            args.next()
                .copied()
                .ok_or_else(|| format!("logcat: option requires an argument -- '{}'\n", &arg[1..]))
        };
        match arg {
            "-d" => request.ends = true,
            "-c" | "--clear" => request.clears = true,
            "-s" => request.filters.others = None,
            "-t" | "-T" => {
                request.ends |= arg == "-t";
                request.since = beginning(value()?)?;
            }
            "-b" => buffers(&mut request.buffers, value()?)?,
            "-v" => request.format = format(value()?)?,
            option if option.starts_with('-') => {
                return Err(format!("logcat: unrecognized option '{option}'\n"));
            }
            filter => add(&mut request.filters, filter)?,
        }
    }
    if request.buffers.is_empty() {
        request.buffers = vec![Buffer::Main, Buffer::System, Buffer::Crash];
    }
    Ok(request)
}

fn beginning(text: &str) -> Result<Since<'_>, String> {
    match text.parse() {
        Ok(count) => Ok(Since::Last(count)),
        // As it is printed, so that it can be compared as text.
        Err(_) if text.len() == "01-31 00:00:00.000".len() && text.as_bytes()[2] == b'-' => {
            Ok(Since::Time(text))
        }
        Err(_) => Err(format!(
            "logcat: \"{text}\" is neither a count nor a time like 01-31 00:00:00.000\n"
        )),
    }
}

fn buffers(into: &mut Vec<Buffer>, list: &str) -> Result<(), String> {
    for name in list.split(',') {
        match name {
            "all" => into.extend(Buffer::ALL),
            "default" => into.extend([Buffer::Main, Buffer::System, Buffer::Crash]),
            name => {
                let known = Buffer::ALL.into_iter().find(|buffer| buffer.name() == name);
                into.push(known.ok_or_else(|| format!("logcat: unknown buffer '{name}'\n"))?);
            }
        }
    }
    Ok(())
}

fn format(name: &str) -> Result<Format, String> {
    Ok(match name {
        "threadtime" => Format::ThreadTime,
        "time" => Format::Time,
        "brief" => Format::Brief,
        "tag" => Format::Tag,
        "process" => Format::Process,
        "raw" => Format::Raw,
        "epoch" => Format::Epoch,
        _ => return Err(format!("logcat: Invalid parameter \"{name}\" to -v\n")),
    })
}

fn add<'a>(filters: &mut Filters<'a>, filter: &'a str) -> Result<(), String> {
    let (tag, level) = filter.split_once(':').unwrap_or((filter, "V"));
    let level = match level {
        "S" | "s" => None,
        level => {
            let known = level.chars().next().and_then(Level::of_letter);
            Some(known.ok_or_else(|| format!("logcat: Invalid filter expression '{filter}'\n"))?)
        }
    };
    match tag {
        "*" => filters.others = level,
        tag => filters.tags.push((tag, level)),
    }
    Ok(())
}

/// The line as it is printed; each line of a message has the same front.
fn text(line: &Line, format: Format) -> String {
    let (letter, tag, pid) = (line.level.letter(), &line.tag, SYSTEM_PID);
    let front = match format {
        Format::ThreadTime => format!("{} {pid:>5} {pid:>5} {letter} {tag:<8}: ", date(line.at_us)),
        Format::Epoch => {
            let (s, ms) = (line.at_us / 1_000_000, line.at_us / 1_000 % 1_000);
            format!("{s:>19}.{ms:03} {pid:>5} {pid:>5} {letter} {tag:<8}: ")
        }
        Format::Time => format!("{} {letter}/{tag:<8}({pid:>5}): ", date(line.at_us)),
        Format::Brief => format!("{letter}/{tag:<8}({pid:>5}): "),
        Format::Process => format!("{letter}({pid:>5}) "),
        Format::Tag => format!("{letter}/{tag:<8}: "),
        Format::Raw => String::new(),
    };
    let back = match format {
        Format::Process => format!("  ({tag})"),
        _ => String::new(),
    };
    let pieces = line.message.split('\n');
    pieces.map(|piece| format!("{front}{piece}{back}\n")).collect()
}

/// `MM-DD hh:mm:ss.mmm` in UTC, by the calendar's rule of 400 years.
fn date(at_us: u64) -> String {
    let ms = at_us / 1_000;
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Counted from 1 March of the year 0, so that a leap day is the last of its year.
    let days = days + 719_468;
    let day_of_era = days % 146_097;
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (h, m, s) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{:03}", rest % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tag: &str, level: Level, message: &str) -> Line {
        Line {
            seq: 1,
            // 29 February 2024, 12:34:56.789 UTC.
            at_us: 1_709_210_096_789_000,
            buffer: Buffer::Main,
            level,
            tag: tag.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_line_is_printed_as_logcat_prints_it() {
        let line = line("Zygote", Level::Warn, "a\nb");
        let text = |format| text(&line, format);
        assert_eq!(
            text(Format::ThreadTime),
            "02-29 12:34:56.789   600   600 W Zygote  : a\n02-29 12:34:56.789   600   600 W Zygote  : b\n"
        );
        assert_eq!(
            text(Format::Brief),
            "W/Zygote  (  600): a\nW/Zygote  (  600): b\n"
        );
        assert_eq!(text(Format::Raw), "a\nb\n");
        assert!(text(Format::Epoch).starts_with("         1709210096.789   600"));
        assert_eq!(date(0), "01-01 00:00:00.000");
        assert_eq!(date(1_735_689_599_999_000), "12-31 23:59:59.999");
    }

    #[test]
    fn filters_decide_by_tag_and_the_last_one_wins() {
        let shows = |args: &[&str], tag: &str, level| {
            let filters = request(args).ok().unwrap().filters;
            filters.show(&line(tag, level, ""))
        };
        assert!(shows(&[], "a", Level::Verbose));
        assert!(!shows(&["-s"], "a", Level::Fatal));
        assert!(shows(&["-s", "a:W"], "a", Level::Error));
        assert!(!shows(&["-s", "a:W"], "a", Level::Info));
        assert!(shows(&["a:S", "*:W"], "b", Level::Warn));
        assert!(!shows(&["a:S", "*:W"], "a", Level::Fatal));
        assert!(shows(&["a:S", "a:D"], "a", Level::Debug));
    }

    #[test]
    fn what_logcat_does_not_know_is_refused() {
        for args in [
            &["-x"][..],
            &["-b", "no"],
            &["-v", "no"],
            &["-t", "soon"],
            &["-T"],
            &["a:Z"],
        ] {
            assert!(request(args).is_err(), "{args:?}");
        }
    }
}
