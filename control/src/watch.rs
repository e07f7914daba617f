//! Who watches a session: one channel per session that always holds its newest view.
//!
//! Newest wins: a slow reader skips states, it never misses the last one. Progress of a preparation
//! lives only here; after a restart of control it starts again with the preparation itself.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use protocol::{DeviceId, HostId, SessionId};
use tokio::sync::watch;

use crate::domain::deadlines::Outlook;
use crate::domain::device::Health;
use crate::domain::session::{Advance, Presence, Session, Stage};

/// A session as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// What the store says.
    pub session: Session,
    /// How far it is.
    pub advance: Advance,
    /// When it will end, as far as that is known.
    pub outlook: Outlook,
    /// Whether its device is there, by its host's last word; none before there was one.
    pub presence: Option<Presence>,
}

/// The channels. One for each session that is live or watched; [`Watches::prune`] drops the rest.
#[derive(Default)]
pub(crate) struct Watches(DashMap<SessionId, watch::Sender<View>>);

impl Watches {
    /// Shows what the store says now.
    pub(crate) fn publish(&self, session: &Session) {
        drop(self.channel(session));
    }

    /// Shows the progress of a preparation; it never goes back.
    pub(crate) fn progress(&self, session: SessionId, advance: Advance) {
        if let Some(channel) = self.0.get(&session) {
            channel.send_if_modified(|view| {
                let forward = advance > view.advance && view.advance.stage < Stage::Ready;
                if forward {
                    view.advance = advance;
                }
                forward
            });
        }
    }

    /// Shows whether the devices of a host are there: `presence` says it of each that it knows of.
    pub(crate) fn attend(&self, host: HostId, presence: impl Fn(DeviceId) -> Option<Presence>) {
        for channel in &self.0 {
            channel.send_if_modified(|view| {
                let said = (view.session.host == host).then(|| presence(view.session.device));
                let said = said.flatten();
                let news = said.is_some() && view.presence != said;
                if news {
                    view.presence = said;
                }
                news
            });
        }
    }

    /// Shows what the holder has to expect.
    pub(crate) fn expect(&self, session: SessionId, outlook: Outlook) {
        if let Some(channel) = self.0.get(&session) {
            channel.send_if_modified(|view| {
                let news = !view.outlook.is_about(&outlook);
                if news {
                    view.outlook = outlook;
                }
                news
            });
        }
    }

    /// Shows what changes beside a lease: how many look on, how its link and its device are. Another control may have
    /// been told; `elsewhere` says how the device of a host is that is not linked here.
    pub(crate) fn observed(&self, held: &[Session], elsewhere: impl Fn(&Session) -> Option<Presence>) {
        for session in held {
            if let Some(channel) = self.0.get(&session.id) {
                channel.send_if_modified(|view| {
                    let mut next = view.clone();
                    next.session.observers = session.observers;
                    next.session.link = session.link.clone();
                    next.presence = elsewhere(session).or(view.presence);
                    let news = *view != next;
                    *view = next;
                    news
                });
            }
        }
    }

    /// The newest view, for somebody who has read the store. Reading changes nothing for those who watch.
    pub(crate) fn view(&self, session: &Session) -> View {
        let view = self.follow(session).borrow().clone();
        if view.session.state.is_after(session.state) {
            return view;
        }
        View {
            advance: Advance::at(session.state, view.advance),
            session: session.clone(),
            ..view
        }
    }

    /// The newest view, given what the store says now, and all that follow.
    pub(crate) fn follow(&self, session: &Session) -> watch::Receiver<View> {
        // What a reader read may be older than what was shown since. The shard's lock is let go before `channel` takes it.
        let newest = |view: &View| !session.state.is_after(view.session.state);
        let shown = self
            .0
            .get(&session.id)
            .filter(|channel| newest(&channel.borrow()));
        let shown = shown.map(|channel| channel.subscribe());
        shown.unwrap_or_else(|| self.channel(session))
    }

    /// Sessions that somebody watches.
    pub(crate) fn watched(&self) -> Vec<SessionId> {
        let watched = self.0.iter().filter(|channel| channel.receiver_count() > 0);
        watched.map(|channel| *channel.key()).collect()
    }

    /// Forgets sessions that are over and that nobody watches.
    pub(crate) fn prune(&self) {
        self.0.retain(|_, channel| {
            channel.receiver_count() > 0 || channel.borrow().advance.stage != Stage::Ended
        });
    }

    fn channel(&self, session: &Session) -> watch::Receiver<View> {
        match self.0.entry(session.id) {
            Entry::Vacant(vacant) => {
                let advance = Advance::at(session.state, Advance::START);
                let (channel, receiver) = watch::channel(View {
                    session: session.clone(),
                    advance,
                    outlook: Outlook::default(),
                    presence: None,
                });
                vacant.insert(channel);
                receiver
            }
            Entry::Occupied(occupied) => {
                let channel = occupied.get();
                channel.send_if_modified(|view| {
                    // Two may come here in another order than they read the store.
                    if view.session.state.is_after(session.state) {
                        return false;
                    }
                    let advance = Advance::at(session.state, view.advance);
                    // A host that is not linked here may be linked to another control by now.
                    let elsewhere =
                        view.presence == Some(Presence::Unlinked) && session.health != Health::Offline;
                    let next = View {
                        session: session.clone(),
                        advance,
                        outlook: view.outlook,
                        presence: view.presence.filter(|_| !elsewhere),
                    };
                    let changed = *view != next;
                    *view = next;
                    changed
                });
                channel.subscribe()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lease::State;
    use crate::rig::{Rig, after};
    use protocol::CloseReason;

    #[tokio::test]
    async fn a_reader_who_comes_late_changes_nothing_and_one_who_knows_more_is_believed() {
        let rig = Rig::new().await;
        rig.link("t", None, None).await;
        let preparing = rig.granted("t", "a", after(1)).await;
        let at = |state| Session {
            state,
            ..preparing.clone()
        };
        let (grace, ended) = (
            at(State::Grace { until: after(9) }),
            at(State::Releasing {
                reason: CloseReason::Idle,
            }),
        );
        let watches = Watches::default();
        watches.publish(&at(State::Active));
        let mut watching = watches.follow(&preparing);
        for (read, answered) in [(&preparing, State::Active), (&grace, grace.state)] {
            assert_eq!(watches.view(read).session.state, answered);
            assert_eq!(watches.follow(read).borrow().session.state, State::Active);
        }
        assert!(
            !watching.has_changed().unwrap(),
            "nobody was told anything by them"
        );
        assert_eq!(watches.follow(&ended).borrow().session.state, ended.state);
        assert!(watching.has_changed().unwrap());
        watches.publish(&at(State::Active));
        assert_eq!(
            watching.borrow_and_update().session.state,
            ended.state,
            "over is over"
        );
    }
}
