//! Who else is on the device, whether its screen is locked, and whom it trusts.
//!
//! ```text
//!   user 0 ── create ──► user 10, 11 … ── remove ──► leaving: still listed, and no longer removable ──► gone
//!      └──────── switch ────────┘  the one in front stays
//!   lock        none ⇄ a credential, which every change of it has to name
//!   authorities certificates that a person added
//! ```
//!
//! As on Android a user that is removed is gone only some time after the command has ended: here when he was listed as
//! leaving [`LISTED_LEAVING`] times, so that whoever waits for a fact is not kept by a clock. This device keeps no
//! apps, files or settings for other users: that one is there is all that is known of him.

use std::collections::BTreeMap;

use super::{Android, SETTINGS_MAX};

/// Where certificates of authorities are that people added for user 0.
pub const AUTHORITIES: &str = "/data/misc/user/0/cacerts-added";
/// Users that a device has at most, besides the first.
pub const OTHERS_MAX: usize = 3;
/// The first number of another user.
const FIRST_OTHER: u32 = 10;
/// How often a user is listed after he was removed.
const LISTED_LEAVING: u8 = 2;

/// See above.
#[derive(Debug, Default)]
pub(super) struct People {
    others: BTreeMap<u32, Other>,
    /// Numbers that were given; none comes twice.
    given: u32,
    front: u32,
    lock: Option<String>,
    pub(super) authorities: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug)]
struct Other {
    name: String,
    flags: u32,
    /// How often he is still listed, once he was removed.
    leaves: Option<u8>,
}

/// A user as he is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// His number.
    pub id: u32,
    /// What he is called.
    pub name: String,
    /// As Android writes them.
    pub flags: u32,
    /// Whether anything of his runs.
    pub running: bool,
}

impl Android {
    /// Everybody, and those who leave for the last times.
    pub fn users(&self) -> Vec<User> {
        self.change(|state| {
            let people = &mut state.people;
            let mut users = vec![User {
                id: 0,
                name: "Owner".to_owned(),
                flags: 0x4c13,
                running: true,
            }];
            users.extend(people.others.iter().map(|(id, other)| User {
                id: *id,
                name: other.name.clone(),
                flags: other.flags,
                running: people.front == *id,
            }));
            people.others.retain(|_, other| match &mut other.leaves {
                None => true,
                Some(times) => {
                    *times -= 1;
                    *times > 0
                }
            });
            users
        })
    }

    /// Makes another user; his number, if there is room for one.
    pub fn create_user(&self, name: &str, flags: u32) -> Option<u32> {
        self.change(|state| {
            let people = &mut state.people;
            if people.others.len() >= OTHERS_MAX {
                return None;
            }
            let id = FIRST_OTHER + people.given;
            people.given += 1;
            let other = Other {
                name: name.to_owned(),
                flags,
                leaves: None,
            };
            people.others.insert(id, other);
            Some(id)
        })
    }

    /// Removes a user; false for the first one, the one in front, and one who is not there or is leaving.
    pub fn remove_user(&self, id: u32) -> bool {
        self.change(|state| {
            let people = &mut state.people;
            match people.others.get_mut(&id) {
                Some(other) if people.front != id && other.leaves.is_none() => {
                    other.leaves = Some(LISTED_LEAVING);
                    true
                }
                _ => false,
            }
        })
    }

    /// Who is in front.
    pub fn front_user(&self) -> u32 {
        self.lock().people.front
    }

    /// Brings a user to the front; false for one who is not there or is leaving.
    pub fn switch_user(&self, id: u32) -> bool {
        self.change(|state| {
            let people = &mut state.people;
            let other = people.others.get(&id);
            let there = id == 0 || other.is_some_and(|other| other.leaves.is_none());
            if there {
                people.front = id;
            }
            there
        })
    }

    /// Whether this is the credential of the lock; without a lock that is none.
    pub fn opens(&self, credential: &str) -> bool {
        let state = self.lock();
        state.people.lock.as_deref().unwrap_or_default() == credential
    }

    /// Sets a lock, or takes it away with the empty credential.
    pub fn set_lock(&self, credential: &str) {
        let lock = Some(credential.to_owned()).filter(|credential| !credential.is_empty());
        self.change(|state| state.people.lock = lock);
    }

    /// Adds a certificate of an authority, as a person does in the settings.
    pub fn trust(&self, name: &str, certificate: &[u8]) {
        self.change(|state| {
            let authorities = &mut state.people.authorities;
            if authorities.len() < SETTINGS_MAX {
                authorities.insert(name.to_owned(), certificate.to_vec());
            }
        });
    }
}
