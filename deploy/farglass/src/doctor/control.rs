//! Whether control can be reached, over HTTP and over its link's UDP port, and how far this host's clock is from its.
//!
//! ```text
//!   GET /api/v1/health  ──► status                 t0 │──── request ────► Date: D │ ◄──── answer ──── │ t1
//!                           Date, a whole second      so at some moment of [t0, t1] control's clock was in [D, D + 1)
//!                                                     and its offset to ours is in (D − t1, D + 1 − t0)
//! ```
//!
//! Some such intervals, spread over a second, have a common part that is narrower than each. What matters is
//! the tolerance of the link's certificates: a host whose clock is behind by more takes them for not yet valid, and one
//! that is ahead by a day for expired. It joins nothing and has no identity.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_agent::doctor::{self, Check};
use reqwest::{Response, Url};
use signaling::link::tls::CLOCK_TOLERANCE;

/// How long control may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the clock is asked, and how long apart: the steps of control's seconds fall into different pauses.
const CLOCK_QUESTIONS: u32 = 4;
const CLOCK_PAUSE: Duration = Duration::from_millis(270);
/// From here on times that people read in two places begin to contradict each other.
const CLOCK_WARNING: f64 = 5.0;

/// Looks at control.
pub(super) async fn look(url: &Url, link: Option<&str>) -> Vec<Check> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build();
    let mut checks = match client {
        Ok(client) => http(&client, url).await,
        Err(error) => vec![Check::fails(
            "control",
            format!("no HTTP client can be made: {error}"),
            "Install the system's root certificates (package ca-certificates).",
        )],
    };
    let link = link.map(str::to_owned).or_else(|| {
        let port = url.port_or_known_default()?;
        Some(format!("{}:{port}", url.host_str()?))
    });
    if let Some(link) = link {
        checks.push(doctor::link(&link).await);
    }
    checks
}

async fn http(client: &reqwest::Client, url: &Url) -> Vec<Check> {
    const NAME: &str = "control";
    let Ok(health) = url.join("/api/v1/health") else {
        return vec![Check::fails(
            NAME,
            format!("{url} is no web address"),
            "Give --control the address that browsers use, such as https://farglass.example.org.",
        )];
    };
    let mut clock = Interval::ANY;
    let mut first = None;
    for question in 0..CLOCK_QUESTIONS {
        if question > 0 {
            tokio::time::sleep(CLOCK_PAUSE).await;
        }
        let asked = SystemTime::now();
        match client.get(health.clone()).send().await {
            Ok(response) => {
                clock.narrow(&response, asked, SystemTime::now());
                first.get_or_insert(response);
            }
            Err(error) => {
                return vec![Check::fails(
                    NAME,
                    format!("{health} cannot be reached: {}", root_cause(&error)),
                    "See that control runs, that the address is the one browsers use, and that no firewall is between.",
                )];
            }
        }
    }
    let mut checks = Vec::new();
    if let Some(response) = first {
        checks.push(health_of(response).await);
    }
    checks.push(clock.check());
    checks
}

/// What stands behind reqwest's own words, which only repeat the address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// 200 and 503 with a status are control's; anything else is somebody else's.
async fn health_of(response: Response) -> Check {
    const NAME: &str = "control";
    let (url, code) = (response.url().clone(), response.status().as_u16());
    let body: serde_json::Value = response.json().await.unwrap_or_default();
    match (code, body["status"].as_str()) {
        (200, Some(status)) => Check::ok(NAME, format!("{url} says {status}")),
        (503, Some(status)) => Check::warning(
            NAME,
            format!("{url} says {status}"),
            "It is ready when its database answers, a host is online and that host's devices are ready: look at the \
             others first.",
        ),
        _ => Check::fails(
            NAME,
            format!("{url} answers {code}, not as control does"),
            "Give --control the address of farglass itself; a proxy in front has to pass /api/ on.",
        ),
    }
}

/// Seconds by which control's clock is ahead of ours: at least, at most.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval(f64, f64);

impl Interval {
    const ANY: Self = Self(f64::NEG_INFINITY, f64::INFINITY);

    /// An answer without a date says nothing.
    fn narrow(&mut self, response: &Response, asked: SystemTime, answered: SystemTime) {
        let date = response.headers().get(reqwest::header::DATE);
        if let Some(date) = date.and_then(|date| unix_s(date.to_str().ok()?)) {
            self.narrow_by(date as f64, unix(asked), unix(answered));
        }
    }

    fn narrow_by(&mut self, date: f64, asked: f64, answered: f64) {
        self.0 = self.0.max(date - answered);
        self.1 = self.1.min(date + 1.0 - asked);
    }

    fn check(self) -> Check {
        const NAME: &str = "clock";
        const CURE: &str = "Let both keep their time by NTP (`timedatectl set-ntp true`); `timedatectl` shows which one is \
                            wrong.";
        let Self(least, most) = self;
        if !least.is_finite() || !most.is_finite() {
            return Check::warning(
                NAME,
                "control's answers have no date",
                "See with `date -u` on both hosts that they agree: something in front of control takes the Date \
                 header away.",
            );
        }
        if least > most {
            return Check::warning(NAME, "a clock was set while it was looked at", "Look again.");
        }
        let found = format!("control's clock is {least:+.1} to {most:+.1} s ahead of this host's");
        // The offset that is certain, whatever the second's fraction was.
        let certain = if least > 0.0 { least } else { (-most).max(0.0) };
        if certain >= CLOCK_TOLERANCE.as_secs_f64() {
            Check::fails(NAME, found, CURE)
        } else if certain >= CLOCK_WARNING {
            Check::warning(NAME, found, CURE)
        } else {
            Check::ok(NAME, found)
        }
    }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the one form that servers send (RFC 9110, 5.6.7), as seconds of unix time.
fn unix_s(date: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = date.split_once(", ")?;
    let mut words = date.strip_suffix(" GMT")?.split(' ');
    let day = words
        .next()?
        .parse::<i64>()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let month = words.next().filter(|month| month.len() == 3)?;
    let month = i64::try_from(MONTHS.find(month).filter(|at| at % 3 == 0)? / 3 + 1).ok()?;
    let year = words
        .next()?
        .parse::<i64>()
        .ok()
        .filter(|year| (1970..10_000).contains(year))?;
    let mut time = words.next()?.split(':').zip([23, 59, 60]);
    let mut part = || {
        let (part, greatest) = time.next()?;
        part.parse::<i64>()
            .ok()
            .filter(|part| (0..=greatest).contains(part))
    };
    let (hour, minute, second) = (part()?, part()?, part()?);
    // Days since 1970 in the Gregorian calendar, with years that begin in March so that the leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_date_is_seconds_of_unix_time() {
        assert_eq!(unix_s("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix_s("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(unix_s("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 GMT",
            "Sun, 06 Nov 1994 9223372036854775807:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:-1 GMT",
        ] {
            assert_eq!(unix_s(text), None, "{text}");
        }
    }

    #[test]
    fn answers_together_say_more_about_the_clock_than_each() {
        let mut clock = Interval::ANY;
        assert_eq!(clock.check().verdict.word(), "warning");
        // Control is 0.3 s ahead; it is asked at .0 and at .6 of our seconds.
        clock.narrow_by(100.0, 100.0, 100.1);
        clock.narrow_by(100.0, 100.6, 100.65);
        clock.narrow_by(101.0, 100.75, 100.8);
        assert!(clock.0 > 0.19 && clock.1 < 0.41, "{clock:?}");
        assert_eq!(clock.check().verdict.word(), "ok");
        assert_eq!(Interval(-7.0, -6.0).check().verdict.word(), "warning");
        assert_eq!(Interval(301.0, 302.0).check().verdict.word(), "fails");
        assert_eq!(Interval(-302.0, -301.0).check().verdict.word(), "fails");
        assert_eq!(Interval(2.0, 1.0).check().verdict.word(), "warning");
    }

    /// Answers every request like this.
    async fn server(answer: String) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut question = vec![0; 4096];
                    let _ = socket.read(&mut question).await;
                    // Whoever asked may be gone.
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        url.parse().unwrap()
    }

    fn answer(code: &str, date: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {code} x\r\nDate: {date}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    async fn words(answer: String) -> Vec<(&'static str, &'static str)> {
        let checks = http(&reqwest::Client::new(), &server(answer).await).await;
        checks
            .iter()
            .map(|check| (check.name, check.verdict.word()))
            .collect()
    }

    #[tokio::test]
    async fn control_that_starts_another_server_and_a_clock_that_is_years_off_are_told() {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        let ready = answer("200", past, "{\"status\":\"ready\"}");
        assert_eq!(words(ready).await, [("control", "ok"), ("clock", "fails")]);
        let starting = answer("503", past, "{\"status\":\"starting\"}");
        assert_eq!(words(starting).await[0], ("control", "warning"));
        assert_eq!(
            words(answer("200", past, "<html>")).await[0],
            ("control", "fails")
        );
        let nobody: Url = "http://127.0.0.1:1".parse().unwrap();
        let checks = http(&reqwest::Client::new(), &nobody).await;
        assert!(
            checks.len() == 1 && checks[0].verdict.word() == "fails",
            "{checks:?}"
        );
    }
}
