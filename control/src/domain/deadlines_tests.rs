//! Deadlines against a clock that jumps: what is measured, what is told, and what a restart forgets.

use super::*;
use crate::domain::device::Health;
use crate::domain::labels::Selector;
use crate::domain::link::{self, Link, Target};
use crate::domain::policy::Policy;
use proptest::prelude::*;
use protocol::{HostId, LinkId};
use uuid::Uuid;

const WALL: UnixMs = UnixMs(1_800_000_000_000);

/// One lease under one link, and the deadlines that watch it.
struct Case {
    deadlines: Deadlines,
    session: Session,
    /// How far the wall clock has jumped.
    jumped_ms: i64,
}

fn case(state: State, policy: Policy, expires_at: Option<UnixMs>) -> Case {
    let id = Uuid::nil();
    let link = Link {
        id: LinkId::from_uuid(id),
        name: String::new(),
        token_hint: String::new(),
        target: Target::Any(Selector::default()),
        app: None,
        state: link::State::Active,
        not_before: None,
        expires_at,
        max_uses: None,
        uses: 1,
        max_connections: 1,
        policy,
        created_at: WALL,
    };
    let session = Session {
        id: SessionId::from_uuid(id),
        lease: LeaseId::from_uuid(id),
        state,
        epoch: Epoch(1),
        own_state: crate::domain::session::State::GRANTED,
        release_epoch: None,
        binding: [0; 32],
        link,
        spent: Duration::ZERO,
        observers: 0,
        device: DeviceId::from_uuid(id),
        host: HostId::from_uuid(id),
        health: Health::Healthy,
        device_name: String::new(),
        width: 0,
        height: 0,
    };
    Case {
        deadlines: Deadlines::default(),
        session,
        jumped_ms: 0,
    }
}

fn grace() -> State {
    State::Grace { until: UnixMs(7) }
}

const fn at(seconds: u64) -> Steady {
    Steady(Duration::from_secs(seconds))
}

impl Case {
    fn look(&mut self, seconds: u64) -> Look {
        let steady = at(seconds);
        let wall = WALL.plus(steady.0);
        let now = Moment {
            steady,
            wall: UnixMs(wall.0 + self.jumped_ms),
        };
        self.deadlines.look(std::slice::from_ref(&self.session), now)
    }

    fn due(&mut self, seconds: u64) -> Option<Event> {
        self.look(seconds).due.first().map(|(_, event)| *event)
    }

    fn warning(&mut self, seconds: u64) -> Option<Ending> {
        self.look(seconds).outlooks[0].1.warning
    }

    fn heard(&mut self, seconds: u64, quiet_s: Option<u64>) {
        let quiet = quiet_s.map(Duration::from_secs);
        let (device, epoch) = (self.session.device, self.session.epoch);
        self.deadlines.heard(device, epoch, quiet, at(seconds));
    }
}

fn policy(idle_s: u64, max_s: Option<u64>, on_expiry: OnExpiry) -> Policy {
    Policy::parse(Some(idle_s), max_s, on_expiry).unwrap()
}

#[test]
fn a_grace_lasts_its_time_however_the_wall_clock_jumps() {
    for jump in [-3_600_000, 3_600_000] {
        let mut case = case(grace(), Policy::default(), None);
        assert_eq!(case.due(100), None);
        case.jumped_ms = jump;
        assert_eq!(case.due(129), None, "{jump}");
        assert_eq!(
            case.due(130),
            Some(Event::Deadline { until: UnixMs(7) }),
            "{jump}"
        );
    }
}

#[test]
fn time_in_which_control_could_not_look_is_not_counted_and_nobody_is_cut_off_right_after_it() {
    let over = Some(Event::Deadline { until: UnixMs(7) });
    let mut early = case(grace(), Policy::default(), None);
    early.due(100);
    early.due(110);
    assert!(early.deadlines.missed(Duration::from_secs(35), at(145)));
    assert_eq!(early.due(145), None);
    assert_eq!(early.due(164), None, "ten seconds of its thirty are over");
    assert_eq!(early.due(165), over);

    let mut late = case(grace(), Policy::default(), None);
    late.due(100);
    late.due(129);
    late.deadlines.missed(Duration::from_secs(35), at(164));
    assert_eq!(late.due(168), None, "the page has not asked again");
    assert_eq!(late.due(169), over);

    let mut busy = case(grace(), Policy::default(), None);
    busy.due(100);
    assert!(!busy.deadlines.missed(Duration::from_secs(2), at(102)));
    assert_eq!(busy.due(130), over, "a look that comes a little late is no pause");
}

#[test]
fn another_stay_in_the_same_state_has_its_own_time() {
    let mut case = case(grace(), Policy::default(), None);
    case.due(100);
    case.session.state = State::Grace { until: UnixMs(8) };
    case.due(120);
    assert_eq!(case.due(149), None);
    assert_eq!(case.due(150), Some(Event::Deadline { until: UnixMs(8) }));
}

#[test]
fn nothing_but_a_link_runs_out_while_agents_are_still_coming_back() {
    let mut preparing = case(State::granted(WALL), policy(2, Some(2), OnExpiry::Cut), None);
    let mut leaving = case(grace(), policy(2, Some(2), OnExpiry::Cut), None);
    for seconds in [0, 30, 59] {
        assert_eq!(preparing.due(seconds), None);
        assert_eq!(leaving.due(seconds), None);
    }
    assert!(preparing.due(60).is_some() && leaving.due(60).is_some());
    let mut expired = case(
        grace(),
        Policy::default(),
        Some(WALL.plus(Duration::from_secs(10))),
    );
    assert_eq!(expired.due(1), None);
    assert_eq!(expired.due(10), Some(Event::End(CloseReason::LinkExpired)));
}

#[test]
fn what_was_granted_after_the_start_needs_no_reconnect_window() {
    let mut case = case(grace(), Policy::default(), None);
    let now = Moment {
        steady: at(0),
        wall: WALL,
    };
    case.deadlines.look(&[], now);
    assert_eq!(case.due(1), None);
    assert!(case.due(31).is_some());
}

#[test]
fn a_running_session_ends_with_its_link_by_the_time_that_was_left_when_it_was_first_seen() {
    for jump in [-3_600_000, 3_600_000] {
        let mut case = case(
            State::Active,
            Policy::default(),
            Some(WALL.plus(Duration::from_secs(200))),
        );
        assert_eq!(case.due(100), None);
        case.jumped_ms = jump;
        assert_eq!(
            case.warning(140),
            Some(Ending {
                reason: CloseReason::LinkExpired,
                at: at(200)
            })
        );
        assert_eq!(case.due(199), None, "{jump}");
        assert_eq!(
            case.due(200),
            Some(Event::End(CloseReason::LinkExpired)),
            "{jump}"
        );
    }
}

#[test]
fn a_link_that_lets_its_session_finish_does_not_end_it() {
    let expires = Some(WALL.plus(Duration::from_secs(100)));
    let mut case = case(State::Active, policy(300, Some(500), OnExpiry::Finish), expires);
    let look = case.look(90);
    assert_eq!(look.due, []);
    let ends = look.outlooks[0].1.ends;
    assert_eq!(
        ends,
        Some(Ending {
            reason: CloseReason::MaxDuration,
            at: at(590)
        }),
        "and says when it does end"
    );
    assert_eq!(case.due(400), None);
}

#[test]
fn a_link_whose_end_is_moved_moves_the_end_of_its_session() {
    let mut case = case(
        State::Active,
        Policy::default(),
        Some(WALL.plus(Duration::from_secs(100))),
    );
    case.due(90);
    case.session.link.expires_at = Some(WALL.plus(Duration::from_secs(300)));
    assert_eq!(case.due(299), None);
    assert_eq!(case.due(300), Some(Event::End(CloseReason::LinkExpired)));
}

#[test]
fn a_session_ends_after_its_greatest_length_which_begins_when_the_device_is_ready() {
    let mut case = case(State::granted(WALL), policy(300, Some(120), OnExpiry::Cut), None);
    case.due(100);
    case.session.state = State::Active;
    case.heard(110, Some(0));
    assert_eq!(case.look(110).outlooks[0].1.ends.unwrap().at, at(230));
    assert_eq!(case.warning(169), None);
    assert_eq!(
        case.warning(170),
        Some(Ending {
            reason: CloseReason::MaxDuration,
            at: at(230)
        })
    );
    case.session.state = grace();
    assert_eq!(case.due(220), None);
    case.session.state = State::Active;
    assert_eq!(
        case.due(230),
        Some(Event::End(CloseReason::MaxDuration)),
        "who leaves and comes back gains nothing"
    );
}

#[test]
fn a_restart_goes_on_counting_where_the_process_before_it_was() {
    let mut first = case(State::Active, policy(300, Some(1000), OnExpiry::Cut), None);
    first.due(0);
    let noted = first
        .deadlines
        .spent(std::slice::from_ref(&first.session), at(700));
    assert_eq!(noted, [(first.session.lease, Duration::from_secs(700))]);
    let mut second = case(State::Active, policy(300, Some(1000), OnExpiry::Cut), None);
    second.session.spent = noted[0].1;
    second.due(10);
    assert_eq!(second.due(309), None);
    assert_eq!(second.due(310), Some(Event::End(CloseReason::MaxDuration)));
    let held = std::slice::from_ref(&second.session);
    let noted = second.deadlines.spent(held, at(110));
    assert_eq!(
        noted[0].1,
        Duration::from_secs(800),
        "for a third, both before it count"
    );
}

#[test]
fn a_device_that_nobody_acts_on_is_warned_of_and_given_back() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.due(1000);
    case.heard(1235, Some(235));
    assert_eq!(case.warning(1235), None);
    case.heard(1240, Some(240));
    assert_eq!(
        case.warning(1240),
        Some(Ending {
            reason: CloseReason::Idle,
            at: at(1300)
        })
    );
    let promised = case.look(1240).outlooks[0].1.ends;
    assert_eq!(promised, None, "whoever acts has no such end");
    assert_eq!(case.due(1301), None, "nobody told yet that it is still quiet");
    case.heard(1302, Some(302));
    assert_eq!(case.due(1302), Some(Event::End(CloseReason::Idle)));
}

#[test]
fn a_touch_takes_the_warning_back() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.due(1000);
    case.heard(1260, Some(260));
    assert!(case.warning(1260).is_some());
    case.heard(1261, Some(0));
    assert_eq!(case.warning(1261), None);
    case.heard(1400, Some(139));
    assert_eq!(case.due(1400), None);
}

#[test]
fn what_was_done_under_another_epoch_or_before_a_return_says_nothing_of_the_holder() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.due(1000);
    let device = case.session.device;
    case.deadlines
        .heard(device, Epoch(9), Some(Duration::from_secs(900)), at(1010));
    assert_eq!(case.due(1010), None);
    case.heard(1020, Some(900));
    assert_eq!(case.due(1020), None, "it became active twenty seconds ago");
}

#[test]
fn who_opens_the_page_again_and_again_and_never_acts_does_not_keep_the_device() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.heard(1000, None);
    case.due(1000);
    for seconds in (1020..1300).step_by(20) {
        case.session.state = State::Grace {
            until: WALL.plus(at(seconds).0),
        };
        case.heard(seconds, None);
        assert_eq!(case.due(seconds), None, "{seconds}");
    }
    assert!(case.warning(1290).is_some(), "as if he were there");
    case.heard(1301, None);
    assert_eq!(case.due(1301), Some(Event::End(CloseReason::Idle)));
}

#[test]
fn a_connection_that_came_back_is_no_act() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.due(1000);
    case.heard(1200, Some(150));
    case.session.state = State::Grace { until: UnixMs(7) };
    assert_eq!(case.due(1201), None);
    case.session.state = State::Active;
    assert_eq!(case.due(1210), None);
    case.heard(1349, Some(299));
    assert_eq!(case.due(1349), None);
    case.heard(1350, Some(300));
    assert_eq!(case.due(1350), Some(Event::End(CloseReason::Idle)));
}

#[test]
fn who_never_acts_is_idle_as_well_but_an_agent_that_restarted_has_forgotten() {
    let mut case = case(State::Active, policy(300, None, OnExpiry::Cut), None);
    case.due(1000);
    case.heard(1001, None);
    case.heard(1200, None);
    let device = case.session.device;
    case.deadlines.greeted([device]);
    case.heard(1202, None);
    case.heard(1310, None);
    assert_eq!(case.due(1310), None);
    case.heard(1502, None);
    assert_eq!(case.due(1502), Some(Event::End(CloseReason::Idle)));
}

#[test]
fn what_is_not_held_any_more_is_forgotten() {
    let mut case = case(State::Active, Policy::default(), None);
    case.heard(1, None);
    case.due(1);
    let now = Moment {
        steady: at(2),
        wall: WALL,
    };
    assert_eq!(case.deadlines.look(&[], now), Look::default());
    assert!(case.deadlines.watches.is_empty() && case.deadlines.heard.is_empty());
}

proptest! {
    /// Whatever the wall clock does, the ends are those of a world in which it does nothing.
    #[test]
    fn the_wall_clock_changes_no_end(
        jumps in proptest::collection::vec((0..40u64, -10_000_000..10_000_000i64), 1..60),
        state in prop_oneof![Just(State::Active), Just(grace()), Just(State::granted(WALL))],
        expires in proptest::option::of(0..1000u64),
    ) {
        let expires = expires.map(|seconds| WALL.plus(Duration::from_secs(seconds)));
        let rules = policy(60, Some(600), OnExpiry::Cut);
        let (mut jumping, mut calm) = (case(state, rules, expires), case(state, rules, expires));
        let mut now = 0;
        prop_assert_eq!(jumping.look(0), calm.look(0));
        for (seconds, jump) in jumps {
            now += seconds;
            jumping.jumped_ms = jump;
            prop_assert_eq!(jumping.look(now), calm.look(now));
        }
    }
}

/// Two controls: the first hears the agent, the second is told by it.
fn two_controls(idle_s: u64) -> (Case, Case) {
    let new = || case(State::Active, policy(idle_s, None, OnExpiry::Cut), None);
    let (mut here, mut there) = (new(), new());
    here.look(100);
    there.look(100);
    (here, there)
}

/// What the first control sees at this time, told to the second.
fn pass_on(here: &mut Case, there: &mut Case, seconds: u64) -> usize {
    let words = here.look(seconds).idle;
    for (session, left) in &words {
        there.deadlines.told(*session, *left, at(seconds));
    }
    words.len()
}

#[test]
fn a_control_that_does_not_hear_the_agent_warns_as_the_other_one_does_and_ends_nothing() {
    let (mut here, mut there) = two_controls(120);
    here.heard(105, Some(5));
    assert_eq!(pass_on(&mut here, &mut there, 105), 0, "no end is near");
    for seconds in (110..220).step_by(5) {
        here.heard(seconds, Some(seconds - 100));
        pass_on(&mut here, &mut there, seconds);
        let ours = here.warning(seconds);
        assert_eq!(ours.is_some(), seconds >= 160, "{seconds}");
        assert_eq!(there.warning(seconds), ours, "{seconds}");
        assert_eq!(there.due(seconds), None);
    }
    here.heard(220, Some(120));
    assert_eq!(here.due(220), Some(Event::End(CloseReason::Idle)));
    assert_eq!(there.due(230), None, "it is the other one's to end");
}

#[test]
fn a_touch_takes_the_warning_back_at_every_control() {
    let (mut here, mut there) = two_controls(60);
    here.heard(145, Some(45));
    assert_eq!(pass_on(&mut here, &mut there, 145), 1);
    assert_eq!(pass_on(&mut here, &mut there, 146), 0, "told once");
    assert!(there.warning(146).is_some());
    here.heard(147, Some(0));
    assert_eq!(pass_on(&mut here, &mut there, 147), 1);
    assert_eq!(there.warning(147), None);
}

#[test]
fn a_word_is_said_again_while_it_holds_and_forgotten_when_nobody_says_it_any_more() {
    let (mut here, mut there) = two_controls(60);
    here.heard(140, Some(40));
    assert_eq!(here.look(140).idle.len(), 1, "and lost on the way");
    here.heard(145, Some(45));
    assert_eq!(pass_on(&mut here, &mut there, 145), 1, "said again");
    assert!(there.warning(150).is_some());
    assert_eq!(there.warning(157), None, "its control is gone");
}

#[test]
fn an_agent_that_is_silent_warns_of_nothing() {
    let (mut here, _) = two_controls(60);
    here.heard(140, Some(40));
    assert!(here.warning(155).is_some());
    assert_eq!(here.warning(156), None);
    assert_eq!(here.due(200), None);
}

#[test]
fn an_end_at_the_same_time_for_another_reason_is_news() {
    let of = |reason, seconds| Outlook {
        ends: Some(Ending {
            reason,
            at: at(seconds),
        }),
        warning: None,
    };
    let told = of(CloseReason::MaxDuration, 100);
    assert!(told.is_about(&told));
    assert!(!told.is_about(&of(CloseReason::LinkExpired, 100)));
    assert!(!told.is_about(&of(CloseReason::MaxDuration, 101)));
    assert!(!told.is_about(&Outlook::default()));
}
