//! One person leaves something in every place of a device; the next looks into all of them, with code of his own.
//!
//! ```text
//!   A: 243 canaries ─► release with a full wipe, or what is left of it after the agent ended ─► B looks
//! ```
//!
//! Here it is the agent's task for one device that ends, at one of its steps. The program is killed at all of them by the
//! tests of `farglass`, which look into the same places (`places.rs`).

mod places;

use protocol::agent::{RefusalCode, Reply, Reset};

use crate::rig::{Phone, Rig, reply};

use places::{AS_BEFORE, MARK, OF_THE_OPERATOR, OWN, PATHS, contents, left_in, looks, marked, plantings};
pub(crate) use places::{AUTHORITY, canaries};

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
        for script in plantings() {
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
        let paths = self.shell().shell(PATHS).await.unwrap();
        let paths = String::from_utf8(paths.stdout).unwrap();
        let mut found = left_in(&self.dump().await);
        for look in looks().into_iter().chain(contents(&paths)) {
            found.extend(marked(&self.shell().shell(&look).await.unwrap().stdout));
        }
        found
    }

    /// The device is as its operator made it.
    pub(crate) async fn is_as_before(&self) {
        let shown = self.shell().shell(OF_THE_OPERATOR).await.unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.starts_with(AS_BEFORE), "{shown}");
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
