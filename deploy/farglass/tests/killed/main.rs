//! The agent is killed by SIGKILL at every step of a wipe, and whoever comes next on its devices finds nothing.
//!
//! ```text
//!   A on each device leaves 243 canaries ─► his link is revoked ─► each wire is held at a moment of its own
//!     ─► SIGKILL ─► a stranger knocks: refused ─► the agent again, on its folder ─► free, or quarantined and released
//!     ─► B is on each device, looks everywhere, and is the next A
//! ```
//!
//! The moments are those of a wipe that nobody disturbs, which is watched first: before each command that the device is
//! given, and of those that do more than look also when they are done and the agent has not heard so. The last one is that
//! after the wipe's last command, with the fence's file still to be written. The agent is the program, control lives on,
//! and one kill hits each device at another moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod house;
#[path = "../../../../host-agent/src/canaries/places.rs"]
mod places;
#[path = "../running/mod.rs"]
#[allow(dead_code, reason = "the devices live in the test here")]
mod running;
mod wire;

use adb::Host;
use futures_util::future::join_all;

use house::{House, Person};
use places::{
    AS_BEFORE, MARK, OF_THE_OPERATOR, OWN, PATHS, canaries, contents, left_in, looks, marked, plantings,
};
use wire::Moment;

/// Devices of the house, each at another moment when the agent is killed.
const DEVICES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_next_finds_nothing_at_whichever_step_of_the_wipe_the_agent_was_killed() {
    let mut house = House::start(DEVICES, OWN).await;
    let mut people = everybody_enters(&house).await;
    everybody_plants(&house).await;
    everything_is_seen(&house.phones[0].eye).await;

    // A wipe that nobody disturbs.
    let before = house.log().len();
    house.phones.iter().for_each(|phone| phone.wire.count(None));
    everybody_leaves(&house, people).await;
    let quarantined = join_all((0..DEVICES).map(|number| house.free(number))).await;
    assert_eq!(quarantined, vec![None; DEVICES]);
    let commands = house.phones[0].wire.commands();
    for phone in &house.phones {
        assert_eq!(
            phone.wire.commands(),
            commands,
            "each device is wiped by the same steps"
        );
    }
    is_whole(&house.log()[before..]);
    people = everybody_enters(&house).await;
    join_all(
        house
            .phones
            .iter()
            .map(|phone| finds_nothing(&phone.eye, "nobody was killed")),
    )
    .await;

    let moments = moments(&commands);
    for moments in moments.chunks(DEVICES) {
        everybody_plants(&house).await;
        for (phone, moment) in house.phones.iter().zip(moments) {
            phone.wire.count(Some(*moment));
        }
        everybody_leaves(&house, people).await;
        join_all(
            house
                .phones
                .iter()
                .take(moments.len())
                .map(|phone| phone.wire.held()),
        )
        .await;
        house.kill_agent().await;
        for number in 0..moments.len() {
            let (status, _) = house.enters(number).await;
            assert!(matches!(status, 409 | 503), "{status}");
        }
        house.start_agent();
        join_all((0..DEVICES).map(|number| house.free(number))).await;
        people = everybody_enters(&house).await;
        let found = house
            .phones
            .iter()
            .map(|phone| finds_nothing(&phone.eye, moments));
        join_all(found).await;
    }
}

/// Before each command, and after each that comes once: what only looks comes again with every survey.
fn moments(commands: &[String]) -> Vec<Moment> {
    let is_alone = |command| commands.iter().filter(|other| *other == command).count() == 1;
    let both = commands.iter().enumerate().flat_map(|(number, command)| {
        let after = is_alone(command).then_some(Moment::After(number));
        std::iter::once(Moment::Before(number)).chain(after)
    });
    both.collect()
}

/// What a wipe may have to do, by the names under which the agent tells of it: the reference has to hold all of it.
const STEPS: [&str; 16] = [
    "survey",
    "the first user in front",
    "users",
    "uninstall org.example.added",
    "take back the update of com.android.shell",
    "accounts of dev.farglass.accounts",
    "bring back dev.farglass.accounts",
    "clear dev.farglass.echo",
    "settings",
    "files",
    "wallpaper and certificates",
    "bring back folders",
    "bring back a file",
    "notifications and overview",
    "clipboard, log and home",
    "the witness of use",
];

/// Whether an agent's log tells of every step there is.
fn is_whole(log: &str) {
    let steps: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("reset step=")?.1.split_once(" took_us="))
        .map(|(step, _)| step)
        .collect();
    for step in STEPS {
        assert!(steps.contains(&step), "no {step:?} in {steps:#?}");
    }
}

async fn everybody_enters(house: &House) -> Vec<Person> {
    let entered = (0..DEVICES).map(async |number| {
        let (status, person) = house.enters(number).await;
        assert_eq!(status, 202, "the device is free");
        person
    });
    join_all(entered).await
}

async fn everybody_leaves(house: &House, people: Vec<Person>) {
    join_all(people.into_iter().map(|person| house.revoke(person))).await;
}

async fn everybody_plants(house: &House) {
    let planted = house.phones.iter().map(async |phone| {
        for script in plantings() {
            let planted = phone.eye.shell(&script).await.unwrap();
            assert!(planted.stderr.is_empty(), "{planted:?}");
        }
    });
    join_all(planted).await;
}

/// B knows where to look: before the wipe he sees what A left, in each of the places.
async fn everything_is_seen(eye: &Host) {
    let canaries = canaries();
    assert!(canaries.len() > 200);
    for canary in canaries {
        let shown = eye.shell(&canary.look).await.unwrap();
        assert!(!marked(&shown.stdout).is_empty(), "{}: {shown:?}", canary.look);
    }
}

/// B looks everywhere, as root and as anybody with a shell; and the device is as its operator made it.
async fn finds_nothing(eye: &Host, when: impl std::fmt::Debug) {
    let printed = async |command: &str| eye.shell(command).await.unwrap().stdout;
    let paths = String::from_utf8(printed(PATHS).await).unwrap();
    let dump = serde_json::from_slice(&printed("dumpsys simulated").await).unwrap();
    let mut found = left_in(&dump);
    for look in looks().into_iter().chain(contents(&paths)) {
        found.extend(marked(&printed(&look).await));
    }
    assert_eq!(found, [""; 0], "{MARK} after {when:?}");
    let shown = String::from_utf8(printed(OF_THE_OPERATOR).await).unwrap();
    assert!(shown.starts_with(AS_BEFORE), "{shown} after {when:?}");
}
