//! Custody without a device: requests and ends in, effects out, as words.

use protocol::agent::{Prepare, RefusalCode, Release, Reply, Reset, Role, WhepOffer};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, LeaseId, SessionId};
use uuid::Uuid;

use super::*;

const PICTURE: Option<PictureSize> = Some(PictureSize {
    width: 720,
    height: 1280,
});
const PREPARED: Reply = Reply::Prepared {
    width: 720,
    height: 1280,
};

fn device() -> DeviceId {
    DeviceId::from_uuid(Uuid::nil())
}

fn prepare(epoch: u64) -> Asked {
    Asked::Prepare(Prepare {
        lease: LeaseId::from_uuid(Uuid::nil()),
        device: device(),
        epoch: Epoch(epoch),
        app: None,
        reset: Reset::WipeApp,
        deadline_ms: 60_000,
    })
}

fn release(epoch: u64) -> Asked {
    release_with(epoch, Reset::Full)
}

fn release_with(epoch: u64, reset: Reset) -> Asked {
    let request = Release {
        lease: None,
        device: device(),
        epoch: Epoch(epoch),
        app: None,
        reset,
        reason: CloseReason::LeaseEnded,
    };
    Asked::Release(request, Vec::new())
}

fn offer(epoch: u64) -> Asked {
    Asked::Offer(WhepOffer {
        connection: ConnectionId::from_uuid(Uuid::nil()),
        session: SessionId::from_uuid(Uuid::nil()),
        device: device(),
        epoch: Epoch(epoch),
        role: Role::Controller,
        lease: None,
        sdp: String::new(),
    })
}

/// The same for one of several leases.
fn of(lease: u128, mut asked: Asked) -> Asked {
    let lease = LeaseId::from_uuid(Uuid::from_u128(lease));
    match &mut asked {
        Asked::Prepare(request) => request.lease = lease,
        Asked::Release(request, _) => request.lease = Some(lease),
        Asked::Offer(offer) => offer.lease = Some(lease),
    }
    asked
}

/// As the agent starts.
fn started(epoch: u64, stage: Stage) -> Custody<u8> {
    Custody::new(Mark {
        epoch: Epoch(epoch),
        stage,
        lease: (stage == Stage::Prepared).then(|| LeaseId::from_uuid(Uuid::nil())),
    })
}

/// With a device that is there.
fn custody(epoch: u64, stage: Stage) -> Custody<u8> {
    let mut custody = started(epoch, stage);
    custody.came_back(None);
    custody
}

/// The device was reached, and the disk takes what has to be kept.
fn witnessed(custody: &mut Custody<u8>, witness: Option<Witness>) -> String {
    let mut told = words(&custody.witnessed(witness));
    if told.starts_with("keep") {
        told += ", ";
        told += &words(&custody.kept(Ok(()), PICTURE));
    }
    told
}

/// The effects as words, to be compared at a glance.
fn words(effects: &[Effect<u8>]) -> String {
    let word = |effect: &Effect<u8>| match effect {
        Effect::Keep(mark) => format!("keep {} {:?}", mark.epoch, mark.stage),
        Effect::Shut(epoch) => format!("shut {epoch}"),
        Effect::Cut { epoch, .. } => format!("cut {epoch}"),
        Effect::Open(epoch) => format!("open {epoch}"),
        Effect::Negotiate(_, who) => format!("negotiate for {who}"),
        Effect::NotConnected(_) => "not connected".to_owned(),
        Effect::Reply(who, reply) => format!("tell {who} {}", short(reply)),
        Effect::Start(work, who) => format!("start {} for {who}", name(work)),
        Effect::StartAlone(work) => format!("start {}", name(work)),
        Effect::Join(who) => format!("{who} joins"),
        Effect::Queue(who) => format!("{who} waits"),
        Effect::JoinNext(who) => format!("{who} joins the next"),
        Effect::Finish(reply) => format!("finish {}", short(reply)),
        Effect::StartNext(work) => format!("start {}", name(work)),
    };
    effects.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn name(work: &Work) -> String {
    match work {
        Work::Prepare(request) => format!("prepare {} {:?}", request.epoch, request.reset),
        Work::Fresh(request) => format!("prepare {} as fresh", request.epoch),
        Work::Resume(request) => format!("resume {}", request.epoch),
        Work::Return(request) => format!("return {}", request.epoch),
        Work::Release(request) => format!("release {}", request.epoch),
    }
}

fn short(reply: &Reply) -> String {
    match reply {
        Reply::Prepared { .. } => "prepared".to_owned(),
        Reply::Released => "released".to_owned(),
        Reply::Refused(refusal) => format!("{:?}", refusal.code),
        other => format!("{other:?}"),
    }
}

/// Asks, and lets the disk take what has to be kept.
fn ask(custody: &mut Custody<u8>, asked: Asked, who: u8) -> String {
    let effects = custody.asked(asked, who, PICTURE);
    let mut told = words(&effects);
    if let [Effect::Keep(_)] = effects[..] {
        told += ", ";
        told += &words(&custody.kept(Ok(()), PICTURE));
    }
    told
}

fn end(custody: &mut Custody<u8>, stage: Option<Stage>, reply: Reply) -> String {
    let effects = custody.ended(Outcome { stage, reply });
    let mut told = words(&effects);
    if let [Effect::Keep(_)] = effects[..] {
        told += ", ";
        told += &words(&custody.kept(Ok(()), PICTURE));
    }
    told
}

#[test]
fn a_holders_whole_time_keeps_the_fence_before_every_effect() {
    let mut custody = custody(0, Stage::Clean);
    let told = ask(&mut custody, prepare(1), 1);
    assert_eq!(told, "keep 1 Fresh, shut 1, start prepare 1 as fresh for 1");
    assert!(!custody.is_open());
    assert_eq!(ask(&mut custody, offer(1), 2), "negotiate for 2");
    let told = end(&mut custody, Some(Stage::Prepared), PREPARED);
    assert_eq!(told, "keep 1 Prepared, open 1, finish prepared");
    assert!(custody.is_open());
    let told = ask(&mut custody, release(2), 3);
    assert_eq!(told, "keep 2 Raised, cut 2, start release 2 for 3");
    assert!(!custody.is_open());
    let told = end(&mut custody, Some(Stage::Clean), Reply::Released);
    assert_eq!(told, "keep 2 Clean, finish released");
    assert!(!custody.is_open());
}

#[test]
fn nothing_is_done_until_the_disk_has_the_fence() {
    let mut custody = custody(4, Stage::Clean);
    assert_eq!(words(&custody.asked(prepare(5), 1, PICTURE)), "keep 5 Fresh");
    assert_eq!(custody.mark().epoch, Epoch(4), "the disk has not answered");
    assert_eq!(words(&custody.asked(prepare(6), 2, PICTURE)), "tell 2 Busy");
    let told = words(&custody.kept(Err(FenceError::Lost), PICTURE));
    assert_eq!(told, "tell 1 Internal");
    assert_eq!((custody.mark().epoch, custody.running()), (Epoch(4), None));
    assert_eq!(
        ask(&mut custody, release(4), 3),
        "tell 3 Internal",
        "nobody knows what the disk holds"
    );
}

#[test]
fn what_is_below_the_fence_is_refused_and_changes_nothing() {
    let mut custody = custody(5, Stage::Prepared);
    assert_eq!(ask(&mut custody, prepare(4), 1), "tell 1 StaleEpoch");
    assert_eq!(ask(&mut custody, release(4), 1), "tell 1 StaleEpoch");
    assert_eq!(ask(&mut custody, offer(4), 1), "tell 1 StaleEpoch, not connected");
    assert!(custody.is_open());
}

#[test]
fn a_repeated_request_joins_the_work_or_gets_what_the_fence_remembers() {
    let mut custody = custody(1, Stage::Clean);
    ask(&mut custody, prepare(2), 1);
    assert_eq!(ask(&mut custody, prepare(2), 2), "2 joins");
    end(&mut custody, Some(Stage::Prepared), PREPARED);
    assert_eq!(ask(&mut custody, prepare(2), 3), "tell 3 prepared");
    ask(&mut custody, release(3), 4);
    assert_eq!(ask(&mut custody, release(3), 5), "cut 3, 5 joins");
    end(&mut custody, Some(Stage::Clean), Reply::Released);
    assert_eq!(ask(&mut custody, release(3), 6), "tell 6 released");
}

#[test]
fn a_newer_request_waits_for_the_work_that_runs_and_takes_the_place_of_one_that_waits() {
    let mut custody = custody(1, Stage::Clean);
    ask(&mut custody, prepare(2), 1);
    assert_eq!(ask(&mut custody, release(3), 2), "keep 3 Fresh, cut 3, 2 waits");
    let told = ask(&mut custody, release(3), 3);
    assert_eq!(told, "keep 3 Raised, cut 3, 3 joins the next");
    assert_eq!(ask(&mut custody, prepare(4), 4), "keep 4 Raised, shut 4, 4 waits");
    // The first job came to its end for an epoch that is over.
    let told = end(&mut custody, Some(Stage::Prepared), PREPARED);
    assert_eq!(told, "finish StaleEpoch, start prepare 4 Full");
    assert!(!custody.is_open(), "prepared for somebody who is gone");
    assert_eq!(custody.mark().stage, Stage::Raised);
}

#[test]
fn after_a_restart_the_holder_goes_on_and_nobody_elses_traces_are_trusted() {
    let mut prepared = started(7, Stage::Prepared);
    assert!(!prepared.is_open(), "nobody knows yet what the device says");
    assert_eq!(witnessed(&mut prepared, Some(Witness::Of(Epoch(7)))), "");
    let back: Vec<_> = prepared.came_back(None).into_iter().collect();
    assert_eq!(words(&back), "open 7");
    let mut prepared = started(7, Stage::Prepared);
    let told = words(&prepared.asked(prepare(7), 1, None));
    assert_eq!(told, "start resume 7 for 1", "no picture yet");
    let mut raised = custody(8, Stage::Raised);
    assert!(!raised.is_open());
    assert_eq!(ask(&mut raised, prepare(8), 1), "start prepare 8 Full for 1");
    let mut half_wiped = custody(8, Stage::Raised);
    let told = ask(&mut half_wiped, prepare(9), 1);
    assert_eq!(told, "keep 9 Raised, shut 9, start prepare 9 Full for 1");
}

#[test]
fn a_holder_whose_agent_was_set_back_is_not_let_in_on_what_others_left_since() {
    let later = Some(Witness::Of(Epoch(9)));
    let mut prepared = started(7, Stage::Prepared);
    assert_eq!(witnessed(&mut prepared, later), "keep 10 Raised, shut 10");
    assert!(prepared.came_back(None).is_none() && !prepared.is_open());
    assert_eq!(ask(&mut prepared, prepare(7), 1), "tell 1 StaleEpoch");
    assert_eq!(
        ask(&mut prepared, offer(7), 1),
        "tell 1 StaleEpoch, not connected"
    );
    let told = ask(&mut prepared, prepare(11), 2);
    assert_eq!(told, "keep 11 Raised, shut 11, start prepare 11 Full for 2");
    // Also where control asked before the device was reached.
    let mut resumed = started(7, Stage::Prepared);
    assert_eq!(words(&resumed.asked(prepare(7), 1, None)), "start resume 7 for 1");
    assert_eq!(witnessed(&mut resumed, later), "keep 10 Raised, shut 10");
    let told = end(&mut resumed, Some(Stage::Prepared), PREPARED);
    assert_eq!(told, "finish StaleEpoch");
    assert!(!resumed.is_open());
}

#[test]
fn what_a_device_says_is_not_forgotten_when_the_disk_does_not_take_it() {
    let mut prepared = started(7, Stage::Prepared);
    let told = prepared.witnessed(Some(Witness::Of(Epoch(9))));
    assert_eq!(words(&told), "keep 10 Raised");
    let full = FenceError::Disk {
        path: "fence.json".into(),
        source: std::io::Error::other("full"),
    };
    assert_eq!(words(&prepared.kept(Err(full), PICTURE)), "shut 7");
    assert!(prepared.came_back(None).is_none() && !prepared.is_open());
    assert_eq!(ask(&mut prepared, prepare(7), 1), "tell 1 Internal");
}

#[test]
fn what_is_cleaned_again_under_its_own_epoch_is_not_clean_meanwhile() {
    let mut custody = custody(3, Stage::Prepared);
    let told = ask(&mut custody, release(3), 1);
    assert_eq!(told, "keep 3 Raised, cut 3, start release 3 for 1");
    assert_eq!(custody.mark().stage, Stage::Raised);
    assert_eq!(
        end(&mut custody, None, Reply::Refused(late())),
        "finish SetupFailed"
    );
    assert_eq!(
        custody.mark().stage,
        Stage::Raised,
        "a failed wipe cleans nothing"
    );
}

#[test]
fn a_disk_that_does_not_take_the_end_of_a_job_leaves_the_device_shut() {
    let mut custody = custody(1, Stage::Clean);
    ask(&mut custody, prepare(2), 1);
    let outcome = Outcome {
        stage: Some(Stage::Prepared),
        reply: PREPARED,
    };
    assert_eq!(words(&custody.ended(outcome)), "keep 2 Prepared");
    assert_eq!(
        words(&custody.kept(Err(FenceError::Lost), PICTURE)),
        "finish Internal"
    );
    assert!(!custody.is_open());
}

#[test]
fn a_holder_whose_device_went_away_is_let_in_again_where_he_was() {
    let mut custody = custody(7, Stage::Prepared);
    let word = |effect: Option<Effect<u8>>| words(&effect.into_iter().collect::<Vec<_>>());
    assert_eq!(word(custody.came_back(None)), "", "it was never away");
    assert_eq!(word(custody.went_away()), "shut 7");
    assert_eq!(word(custody.went_away()), "", "it is away already");
    assert_eq!(word(custody.came_back(None)), "open 7");
    assert_eq!(word(custody.went_away()), "shut 7");
    let Asked::Prepare(request) = prepare(7) else {
        unreachable!()
    };
    assert_eq!(word(custody.came_back(Some(&request))), "start return 7");
    assert_eq!(
        word(custody.came_back(Some(&request))),
        "",
        "the app is being launched"
    );
    assert_eq!(
        end(&mut custody, Some(Stage::Prepared), PREPARED),
        "open 7, finish prepared"
    );
}

#[test]
fn a_release_at_the_epoch_of_a_prepare_that_runs_lets_nobody_in_on_what_is_being_cleaned() {
    let mut custody = custody(6, Stage::Prepared);
    ask(&mut custody, prepare(7), 1);
    assert_eq!(ask(&mut custody, release(7), 2), "cut 7, 2 waits");
    let told = end(&mut custody, Some(Stage::Prepared), PREPARED);
    assert_eq!(told, "finish StaleEpoch, start release 7");
    assert_eq!((custody.is_open(), custody.mark().stage), (false, Stage::Raised));
    let told = end(&mut custody, Some(Stage::Clean), Reply::Released);
    assert_eq!(told, "keep 7 Clean, finish released");
    assert!(!custody.is_open());
}

#[test]
fn a_release_that_cleans_less_than_everything_vouches_for_nothing() {
    for reset in [Reset::Keep, Reset::WipeApp] {
        let mut custody = custody(1, Stage::Prepared);
        ask(&mut custody, release_with(2, reset), 1);
        assert_eq!(
            ask(&mut custody, release(2), 2),
            "cut 2, 2 waits",
            "a full one is more"
        );
        let told = end(&mut custody, Some(Stage::Clean), Reply::Released);
        assert_eq!(told, "finish released, start release 2");
        assert_eq!(custody.mark().stage, Stage::Raised, "{reset:?}");
        assert_eq!(ask(&mut custody, release_with(2, reset), 3), "cut 2, 3 joins");
        end(&mut custody, None, Reply::Refused(late()));
        assert_eq!(
            ask(&mut custody, prepare(3), 4),
            "keep 3 Raised, shut 3, start prepare 3 Full for 4"
        );
    }
}

#[test]
fn nobody_is_told_that_a_device_is_prepared_before_its_holder_may_act_again() {
    let mut custody = custody(7, Stage::Prepared);
    assert_eq!(ask(&mut custody, prepare(7), 1), "tell 1 prepared");
    custody.went_away();
    assert_eq!(ask(&mut custody, prepare(7), 2), "start resume 7 for 2");
    assert_eq!(
        end(&mut custody, Some(Stage::Prepared), PREPARED),
        "open 7, finish prepared"
    );
    custody.went_away();
    let Asked::Prepare(request) = prepare(7) else {
        unreachable!()
    };
    custody.came_back(Some(&request));
    assert_eq!(
        ask(&mut custody, prepare(7), 3),
        "3 joins",
        "its app is being launched"
    );
    assert!(!custody.is_open());
}

#[test]
fn a_device_that_nobody_holds_or_that_is_worked_on_opens_for_nobody() {
    let mut clean = custody(7, Stage::Clean);
    assert!(clean.went_away().is_none() && clean.came_back(None).is_none());
    let mut ending = custody(7, Stage::Prepared);
    ask(&mut ending, release(8), 1);
    assert!(ending.came_back(None).is_none());
    assert!(!ending.is_open());
}

#[test]
fn an_epoch_that_control_gives_out_again_is_still_the_first_ones() {
    let mut custody = custody(6, Stage::Clean);
    ask(&mut custody, of(1, offer(7)), 1);
    let taken = "tell 9 StaleEpoch";
    assert_eq!(
        ask(&mut custody, of(2, prepare(7)), 9),
        taken,
        "his offer came first"
    );
    ask(&mut custody, of(1, prepare(7)), 2);
    assert_eq!(
        ask(&mut custody, of(2, prepare(7)), 9),
        taken,
        "he is being let in"
    );
    end(&mut custody, Some(Stage::Prepared), PREPARED);
    let mut restarted = Custody::new(custody.mark());
    restarted.came_back(None);
    for custody in [&mut custody, &mut restarted] {
        assert_eq!(ask(custody, of(2, prepare(7)), 9), taken);
        let told = ask(custody, of(2, offer(7)), 9);
        assert_eq!(
            told, "tell 9 StaleEpoch, not connected",
            "he would see the first one's"
        );
        assert!(custody.is_open());
        assert_eq!(ask(custody, of(1, prepare(7)), 3), "tell 3 prepared");
        assert_eq!(ask(custody, of(1, offer(7)), 4), "negotiate for 4");
        assert_eq!(ask(custody, offer(7), 5), "negotiate for 5", "an older control's");
    }
    // A newer epoch is another matter, and cutting somebody off is always right.
    assert_eq!(
        ask(&mut restarted, of(2, release(7)), 6),
        "keep 7 Raised, cut 7, start release 7 for 6"
    );
    let told = ask(&mut custody, of(2, prepare(8)), 7);
    assert_eq!(told, "keep 8 Raised, shut 8, start prepare 8 Full for 7");
}

fn late() -> Refusal {
    Refusal {
        code: RefusalCode::SetupFailed,
        detail: "it took too long".to_owned(),
    }
}
