//! One person leaves something in every place of a device; the next looks into all of them, with code of his own.
//!
//! ```text
//!   A: 243 canaries ─► release with a full wipe, or what is left of it after the agent was killed ─► B looks
//! ```
//!
//! The agent is killed before each of its effects in turn, and started again on the same folder. B reads as root,
//! which no person on a link can: what he does not see is not there.

use std::fmt::Write as _;

use protocol::agent::{RefusalCode, Reply, Reset};

use crate::rig::{Phone, Rig, reply};

/// In every name or value that A leaves.
const MARK: &str = "CANARY";
const APPS: [&str; 5] = ["paint", "echo", "still", "motion", "latency"];
const FOLDERS: [&str; 8] = [
    "/sdcard",
    "/sdcard/Download",
    "/sdcard/DCIM/Camera",
    "/sdcard/.hidden/.deep",
    "/sdcard/it's mine",
    "/data/local/tmp",
    "/data/local/tmp/a/b/c/d",
    "/sdcard/Android/media/$HOME",
];
/// What the operator had on the device before.
const OWN: &str = "mkdir -p /sdcard/Music /sdcard/Empty; echo own > /sdcard/Music/own; echo own > /sdcard/Music/used; settings put \
                   global operator own; cmd simulated account dev.farglass operator";
/// Where the next person would see whom the device trusts.
pub(crate) const AUTHORITY: &str = "su 0 cat /data/misc/user/0/cacerts-added/00c0ffee.0";
/// Commands on one line.
const BATCH: usize = 100;

/// Something that A leaves, and where B looks for it.
pub(crate) struct Canary {
    plant: String,
    look: String,
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn canary(plant: impl Into<String>, look: impl Into<String>) -> Canary {
    Canary {
        plant: plant.into(),
        look: look.into(),
    }
}

fn files(canaries: &mut Vec<Canary>) {
    for folder in FOLDERS {
        for n in 0..8 {
            let path = quoted(&format!("{folder}/{MARK}-{n} *"));
            let plant = format!("mkdir -p {}; echo {MARK} > {path}", quoted(folder));
            canaries.push(canary(plant, format!("cat {path}")));
        }
    }
    // In a file of the operator, and under a name that the agent gives to its own.
    canaries.push(canary(
        format!("echo {MARK} >> /sdcard/Music/used"),
        "cat /sdcard/Music/used",
    ));
    let jar = "/data/local/tmp/farglass-1.jar";
    canaries.push(canary(format!("echo {MARK} > {jar}"), format!("cat {jar}")));
    canaries.push(canary(
        format!("cmd simulated wallpaper {MARK}"),
        "su 0 cat /data/system/users/0/wallpaper",
    ));
}

fn settings(canaries: &mut Vec<Canary>) {
    for namespace in ["system", "secure", "global"] {
        for n in 0..20 {
            let (key, value) = (format!("{MARK}_{n}"), quoted(&format!("{MARK}\n{n} 'x'=y")));
            let get = format!("settings get {namespace} {key}");
            canaries.push(canary(format!("settings put {namespace} {key} {value}"), get));
        }
    }
    for (namespace, key) in [
        ("system", "font_scale"),
        ("secure", "location_mode"),
        ("global", "operator"),
    ] {
        canaries.push(canary(
            format!("settings put {namespace} {key} {MARK}"),
            format!("settings get {namespace} {key}"),
        ));
    }
}

fn apps(canaries: &mut Vec<Canary>) {
    let installed = ["org.example.added", "org.example.other"];
    for package in installed {
        canaries.push(canary(
            format!("cmd simulated install {package} {MARK}.{package}"),
            // Both the package and the type of its accounts are told here.
            format!("pm list packages {package}; dumpsys account"),
        ));
    }
    // An update of a part of the image.
    canaries.push(canary(
        format!("cmd simulated replace com.android.shell {MARK}"),
        "cmd simulated label com.android.shell",
    ));
    let ours = APPS.map(|app| format!("dev.farglass.{app}"));
    let packages = ours.iter().map(String::as_str).chain(installed);
    for package in packages {
        for n in 0..8 {
            canaries.push(canary(
                format!("cmd simulated write {package} files/{n} {MARK}"),
                format!("su 0 cat /data/data/{package}/files/{n}"),
            ));
        }
        canaries.push(canary(
            format!("cmd simulated prefer {package} key {MARK}"),
            format!("su 0 cat /data/data/{package}/shared_prefs/{package}_preferences.xml"),
        ));
        canaries.push(canary(
            format!("cmd simulated notify {package} {MARK}-{package} text"),
            format!("cmd notification list; dumpsys notification {package}"),
        ));
    }
}

/// What the system keeps for people, in the tables of its providers and elsewhere.
fn of_the_system(canaries: &mut Vec<Canary>) {
    for (uri, column) in [
        ("com.android.contacts/raw_contacts", "account_name"),
        ("com.android.contacts/data", "data1"),
        ("call_log/calls", "number"),
        ("sms", "body"),
        ("sms/draft", "body"),
        ("com.android.calendar/calendars", "name"),
        ("com.android.calendar/events", "title"),
        ("user_dictionary/words", "word"),
        ("downloads/my_downloads", "title"),
        ("media/external/images/media", "_display_name"),
    ] {
        canaries.push(canary(
            format!("content insert --uri content://{uri} --bind {column}:s:{MARK}"),
            format!("content query --uri content://{uri}"),
        ));
    }
    canaries.push(canary(format!("log -t {MARK} {MARK}"), "logcat -d"));
    canaries.push(canary(format!("pm create-user {MARK}"), "pm list users"));
    canaries.push(canary(
        format!("pm create-user --profileOf 0 --managed {MARK}"),
        "pm list users",
    ));
    canaries.push(canary(
        format!("cmd simulated trust 00c0ffee.0 {MARK}"),
        AUTHORITY,
    ));
}

fn accounts_and_more(canaries: &mut Vec<Canary>) {
    for n in 0..12 {
        let name = quoted(&format!("{MARK}-{n}@example.org, type=x"));
        canaries.push(canary(
            format!("cmd simulated account dev.farglass {name}"),
            "dumpsys account",
        ));
    }
    for package in ["org.example.added", "org.example.other"] {
        canaries.push(canary(
            format!("cmd simulated account {MARK}.{package} {MARK}"),
            "dumpsys account",
        ));
    }
    for n in 0..10 {
        canaries.push(canary(
            format!("cmd notification post -t {MARK} tag{n} {MARK}"),
            "dumpsys notification --noredact",
        ));
    }
    canaries.push(canary(
        format!("cmd simulated copy {MARK}"),
        "cmd simulated paste",
    ));
    canaries.push(canary(
        format!("am start -n dev.farglass.echo/.MainActivity; input text {MARK}"),
        "su 0 cat /data/data/dev.farglass.echo/databases/state",
    ));
}

/// Everything that A leaves.
pub(crate) fn canaries() -> Vec<Canary> {
    let mut canaries = Vec::new();
    files(&mut canaries);
    settings(&mut canaries);
    apps(&mut canaries);
    accounts_and_more(&mut canaries);
    of_the_system(&mut canaries);
    canaries
}

impl Rig {
    /// A device that its operator has made ready, and an agent that sees it for the first time.
    pub(crate) async fn of_an_operator(before: &str) -> Self {
        Self::of_an_operator_on(Phone::start().await, before).await
    }

    /// The same with a device that is not as usual.
    pub(crate) async fn of_an_operator_on(phone: Phone, before: &str) -> Self {
        let made = phone
            .host()
            .await
            .shell(&format!("{OWN}; {before}"))
            .await
            .unwrap();
        assert_eq!(made.exit, Some(0), "{made:?}");
        let mut rig = Self::on(phone).await;
        rig.healthy().await;
        rig
    }

    /// A person leaves all of it, and takes something of the operator's away.
    pub(crate) async fn plant(&self) {
        self.shell()
            .shell("rm -rf /sdcard/Music/own /sdcard/Empty; wm user-rotation lock 1")
            .await
            .unwrap();
        let canaries = canaries();
        for batch in canaries.chunks(BATCH) {
            let script = batch.iter().fold(String::new(), |mut script, canary| {
                writeln!(script, "{}", canary.plant).unwrap();
                script
            });
            let planted = self.shell().shell(&script).await.unwrap();
            assert!(planted.stderr.is_empty(), "{planted:?}");
        }
    }

    /// The looks into those places that still hold a canary, each looked at by itself.
    pub(crate) async fn places(&self) -> Vec<String> {
        let mut found = Vec::new();
        for canary in canaries() {
            let shown = self.shell().shell(&canary.look).await.unwrap();
            let holds = String::from_utf8_lossy(&shown.stdout).contains(MARK);
            found.extend(holds.then_some(canary.look));
        }
        found
    }

    /// Everything that B sees anywhere with a mark in it: in all places, and in everything that can be listed.
    pub(crate) async fn found(&self) -> Vec<String> {
        let mut looks: Vec<String> = canaries().into_iter().map(|canary| canary.look).collect();
        let lists = [
            "settings list system; settings list secure; settings list global; pm list packages",
            "dumpsys account; dumpsys notification --noredact; dumpsys activity recents",
            "getprop; find / -type f; find / -type d; su 0 find / -type f; su 0 find / -type d",
        ];
        looks.extend(lists.map(str::to_owned));
        let paths = self.shell().shell("su 0 find / -type f -print0").await.unwrap();
        let paths = String::from_utf8(paths.stdout).unwrap();
        looks.extend(
            paths
                .split_terminator('\0')
                .map(|path| format!("su 0 cat {}", quoted(path))),
        );
        let mut found = Vec::new();
        for looks in looks.chunks(BATCH) {
            let shown = self.shell().shell(&looks.join("\n")).await.unwrap();
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            found.extend(
                shown
                    .lines()
                    .filter(|line| line.contains(MARK))
                    .map(str::to_owned),
            );
        }
        let dump = self.dump().await;
        let fresh = ["text", "clipboard"]
            .into_iter()
            .filter(|field| dump[field] != "");
        found.extend(fresh.map(str::to_owned));
        found.extend((dump["strokes"] != 0).then(|| "strokes".to_owned()));
        found
    }

    /// The device is as its operator made it.
    pub(crate) async fn is_as_before(&self) {
        let look = "cat /sdcard/Music/own; cat /sdcard/Music/used; ls -d /sdcard/Empty; settings get global operator; settings get system font_scale; wm user-rotation; pm list \
                    packages accounts; dumpsys account";
        let shown = self.shell().shell(look).await.unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.starts_with("own\nown\n/sdcard/Empty\nown\n1.0\nlock 0\npackage:dev.farglass.accounts\n"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn nothing_that_one_holder_left_is_there_for_the_next() {
    assert_eq!(canaries().len(), 243);
    let mut rig = Rig::of_an_operator("true").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a stroke", |dump| dump["strokes"] == 1).await;
    rig.plant().await;
    assert_eq!(
        rig.places().await.len(),
        canaries().len(),
        "B knows where to look"
    );

    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.places().await, [""; 0]);
    assert_eq!(rig.found().await, [""; 0]);
    rig.is_as_before().await;
    reply(rig.prepare(3, "dev.farglass.echo")).await;
    assert_eq!(rig.found().await, [""; 0]);
    rig.healthy().await;
}

/// Kills the agent before every effect of a wipe whose number leaves this remainder by four: the test command runs
/// the four parts beside each other.
async fn killed_at(part: usize) {
    let mut rig = Rig::of_an_operator("true").await;
    rig.plant().await;
    assert_eq!(reply(rig.release_with(1, Reset::Full)).await, Reply::Released);
    let effects = rig.fuse.count();
    let mut epoch = 1;
    for n in (0..effects).filter(|n| n % 4 == part) {
        epoch += 1;
        rig.plant().await;
        rig.fuse.set(n);
        drop(rig.release_with(epoch, Reset::Full));
        rig.fuse.burnt().await;
        rig = rig.restart().await;
        let again = reply(rig.release_with(epoch, Reset::Full)).await;
        assert_eq!(again, Reply::Released, "killed before effect {n}");
        assert_eq!(rig.found().await, [""; 0], "killed before effect {n}");
        rig.is_as_before().await;
    }
    assert!(epoch > 5, "a wipe has many effects");
}

#[tokio::test]
async fn an_agent_that_is_killed_within_a_wipe_starts_over_part_one() {
    killed_at(0).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_within_a_wipe_starts_over_part_two() {
    killed_at(1).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_within_a_wipe_starts_over_part_three() {
    killed_at(2).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_within_a_wipe_starts_over_part_four() {
    killed_at(3).await;
}

#[tokio::test]
async fn a_wipe_that_was_never_finished_is_done_before_the_next_holder_whoever_forgot_it() {
    let rig = Rig::of_an_operator("true").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    rig.plant().await;
    rig.fuse.set(30);
    drop(rig.release_with(2, Reset::Full));
    rig.fuse.burnt().await;
    let mut rig = rig.restart().await;
    rig.healthy().await;
    let prepared = Reply::Prepared {
        width: 360,
        height: 640,
    };
    assert_eq!(reply(rig.prepare(3, "dev.farglass.paint")).await, prepared);
    assert_eq!(rig.found().await, [""; 0]);
}

pub(crate) fn why(reply: Reply) -> String {
    match reply {
        Reply::Refused(refusal) => {
            assert_eq!(refusal.code, RefusalCode::SetupFailed);
            refusal.detail
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_that_does_not_come_clean_is_not_released_and_says_why_without_telling_what_was_left() {
    // The operator's own app keeps accounts, and no command removes one.
    let rig = Rig::of_an_operator("cmd simulated install org.bank bank").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    let account = format!("cmd simulated account bank {MARK}");
    rig.shell().shell(&account).await.unwrap();
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(why, "the device is not clean: 1 accounts");
    let rig = rig.restart().await;
    let again = self::why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(again, why, "and still after a restart");
}

#[tokio::test]
async fn a_screen_lock_that_a_person_set_is_found_for_nobody_else_can_open_it() {
    let rig = Rig::of_an_operator("true").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    rig.shell().shell("locksettings set-pin 1234").await.unwrap();
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(why, "the device is not clean: 1 screen locks");
    rig.shell().shell("locksettings clear --old 1234").await.unwrap();
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
}

#[tokio::test]
async fn a_lock_a_user_and_an_authority_of_the_operator_stay() {
    let own = "locksettings set-pin 1234; pm create-user own; cmd simulated trust 0.0 own";
    let mut rig = Rig::of_an_operator(own).await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    // A person's own user is in front when he goes.
    rig.shell()
        .shell("pm create-user CANARY; am switch-user 11")
        .await
        .unwrap();
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    let look = "locksettings verify --old 1234; am get-current-user; pm list users; su 0 cat /data/misc/user/0/cacerts-added/0.0";
    let shown = rig.shell().shell(look).await.unwrap();
    assert_eq!(
        String::from_utf8(shown.stdout).unwrap(),
        "Lock credential verified successfully\n0\nUsers:\n\tUserInfo{0:Owner:4c13} running\n\
         \tUserInfo{10:own:410}\nown"
    );
    rig.healthy().await;
}

#[tokio::test]
async fn somebody_elses_app_under_the_name_of_the_operators_is_not_taken_for_it() {
    let rig = Rig::of_an_operator("cmd simulated install org.example.kiosk").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    let other = format!(
        "pm uninstall org.example.kiosk; cmd simulated install org.example.kiosk; cmd simulated \
                         replace dev.farglass.echo {MARK}"
    );
    rig.shell().shell(&other).await.unwrap();
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(why, "the device is not clean: 2 packages replaced");
}

#[tokio::test]
async fn a_device_that_was_used_before_its_baseline_was_lost_is_not_vouched_for() {
    let rig = Rig::of_an_operator("true").await;
    reply(rig.prepare(1, "dev.farglass.paint")).await;
    rig.lose_baseline();
    let mut rig = rig.restart().await;
    rig.healthy().await;
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert!(why.contains("baseline"), "{why}");
}
