//! Names as `find -print0` prints them, taken in as they come. Pure.
//!
//! ```text
//!   PATH NUL PATH NUL … ─► push: each whole name takes its room ─┬─ the end: whole, what has no NUL is a name as well
//!                                                                └─ no room: cut, half a name is dropped (it is another one)
//! ```
//!
//! Somebody may have left more names than fit in memory, and a device may print what it likes: what is kept of it is never
//! more than [`Room`] says, and what is no absolute path takes room without being kept.

/// What lists may still bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Each costs some 50 bytes besides its own.
    pub(crate) names: usize,
    /// Of their text.
    pub(crate) bytes: usize,
}

impl Room {
    /// Room for these names as well.
    pub(crate) fn and<'a>(self, names: impl Iterator<Item = &'a String>) -> Self {
        names.fold(self, |room, name| Self {
            names: room.names + 1,
            bytes: room.bytes + taken(name),
        })
    }

    /// Takes the room for a name, if there is so much.
    fn take(&mut self, name: &str) -> bool {
        match (self.names.checked_sub(1), self.bytes.checked_sub(taken(name))) {
            (Some(names), Some(bytes)) => {
                *self = Self { names, bytes };
                true
            }
            _ => false,
        }
    }
}

/// The bytes that a name takes: its own and its end.
fn taken(name: &str) -> usize {
    name.len() + 1
}

/// What a command listed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) names: Vec<String>,
    /// Whether these are all.
    pub(crate) whole: bool,
}

/// Names on their way.
#[derive(Debug, Default)]
pub(crate) struct Names {
    whole: Vec<String>,
    /// The beginning of the next one.
    begun: Vec<u8>,
}

impl Names {
    /// Takes in what was printed; gives whether there was room for it.
    pub(crate) fn push(&mut self, printed: &[u8], room: &mut Room) -> bool {
        let mut pieces = printed.split(|byte| *byte == 0);
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.begun.extend_from_slice(piece);
            if !self.complete(room) {
                return false;
            }
        }
        if self.begun.len() + last.len() > room.bytes {
            return false;
        }
        self.begun.extend_from_slice(last);
        true
    }

    /// Nothing more comes, and nothing is missing.
    pub(crate) fn end(mut self, room: &mut Room) -> Listed {
        let whole = self.begun.is_empty() || self.complete(room);
        Listed {
            names: self.whole,
            whole,
        }
    }

    /// The rest is not taken in.
    pub(crate) fn cut(self) -> Listed {
        Listed {
            names: self.whole,
            whole: false,
        }
    }

    fn complete(&mut self, room: &mut Room) -> bool {
        let name = String::from_utf8_lossy(&self.begun);
        let fits = room.take(&name);
        if fits && name.starts_with('/') {
            self.whole.push(name.into_owned());
        }
        self.begun.clear();
        fits
    }
}

/// For fuzzing: any bytes, in two pieces, never take more than their room.
pub(super) fn fuzz(bytes: &[u8]) {
    let (cut, bytes) = bytes.split_first().map_or((0, bytes), |(cut, rest)| (*cut, rest));
    let all = Room { names: 8, bytes: 64 };
    let (mut names, mut room) = (Names::default(), all);
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let fits = names.push(first, &mut room) && names.push(second, &mut room);
    let listed = if fits { names.end(&mut room) } else { names.cut() };
    let kept: usize = listed.names.iter().map(|name| taken(name)).sum();
    assert!(listed.names.len() + room.names <= all.names && kept + room.bytes <= all.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { names: 3, bytes: 24 };

    /// The text pushed in pieces of this length.
    fn listed(printed: &[u8], piece: usize, room: &mut Room) -> Listed {
        let mut names = Names::default();
        for piece in printed.chunks(piece) {
            if !names.push(piece, room) {
                return names.cut();
            }
        }
        names.end(room)
    }

    #[test]
    fn paths_end_with_nul_may_hold_anything_else_and_come_in_any_pieces() {
        for piece in 1..20 {
            let listed = listed(b"/a b\0/c\nd\0", piece, &mut ROOM.clone());
            assert_eq!(listed.names, ["/a b", "/c\nd"], "in pieces of {piece}");
            assert!(listed.whole);
        }
        assert_eq!(listed(b"/last", 3, &mut ROOM.clone()).names, ["/last"]);
        assert!(listed(b"", 1, &mut ROOM.clone()).whole);
    }

    #[test]
    fn what_there_is_no_room_for_is_cut_off_at_a_whole_name() {
        for piece in 1..20 {
            let mut room = ROOM;
            let many = listed(b"/1\0/2\0/3\0/4\0", piece, &mut room);
            assert_eq!((many.names.len(), many.whole, room.names), (3, false, 0));
            let long = listed(b"/123456789\0/123456789012345\0", piece, &mut ROOM.clone());
            assert_eq!((long.names, long.whole), (vec!["/123456789".to_owned()], false));
            // Each of these bytes becomes three.
            let broken = listed(b"/\xff\xff\xff\xff\xff\xff\xff\xff\0", piece, &mut ROOM.clone());
            assert_eq!((broken.names.len(), broken.whole), (0, false));
        }
    }

    #[test]
    fn what_is_no_path_takes_room_and_is_not_kept() {
        let mut room = ROOM;
        let listed = listed(b"x\0\0", 2, &mut room);
        assert_eq!(listed.names.len(), 0);
        assert_eq!(room, Room { names: 1, bytes: 21 });
    }

    #[test]
    fn room_for_known_names_is_added() {
        let known = ["/a".to_owned(), "/bc".to_owned()];
        assert_eq!(ROOM.and(known.iter()), Room { names: 5, bytes: 31 });
    }
}
