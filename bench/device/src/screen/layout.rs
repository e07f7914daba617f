//! Where things are on the screen: shared by what draws them and what is touched.
//!
//! Positions are pixels of the display as it is held. Sizes follow the shorter side, so that every display looks alike.

use crate::android::Size;

/// Colours of the paint app's strokes.
pub const PALETTE_LEN: u8 = 10;

/// A rectangle; right and bottom edges are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width, not negative.
    pub w: i32,
    /// Height, not negative.
    pub h: i32,
}

impl Rect {
    /// Whether a pixel is inside.
    pub fn contains(self, (x, y): (i32, i32)) -> bool {
        (self.x..self.x + self.w).contains(&x) && (self.y..self.y + self.h).contains(&y)
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Self {
            x,
            y,
            w: (self.x + self.w).max(other.x + other.w) - x,
            h: (self.y + self.h).max(other.y + other.h) - y,
        }
    }

    /// What of it lies on the display; may be empty.
    #[must_use]
    pub fn on(self, size: Size) -> Self {
        let (w, h) = (i32::from(size.width), i32::from(size.height));
        let (x, y) = (self.x.clamp(0, w), self.y.clamp(0, h));
        Self {
            x,
            y,
            w: (self.x + self.w).clamp(x, w) - x,
            h: (self.y + self.h).clamp(y, h) - y,
        }
    }

    /// Smaller by `by` on each side.
    #[must_use]
    pub fn inset(self, by: i32) -> Self {
        Self {
            x: self.x + by,
            y: self.y + by,
            w: (self.w - 2 * by).max(0),
            h: (self.h - 2 * by).max(0),
        }
    }
}

/// The whole display.
pub fn full(size: Size) -> Rect {
    Rect {
        x: 0,
        y: 0,
        w: size.width.into(),
        h: size.height.into(),
    }
}

/// A 360th of the shorter side, at least one pixel: the unit of all layouts, as one dp on a phone.
pub fn dp(size: Size) -> i32 {
    (i32::from(size.width.min(size.height)) / 360).max(1)
}

/// The colour of a pointer's strokes, by its number.
pub fn colour_of_pointer(id: i64) -> u8 {
    u8::try_from(id.rem_euclid(PALETTE_LEN.into())).expect("the remainder is below PALETTE_LEN")
}

/// The square of the launcher's icon `index`.
pub fn icon(size: Size, index: usize) -> Rect {
    let dp = dp(size);
    let full = full(size);
    let columns = icon_columns(size);
    let index = i32::try_from(index).unwrap_or(0);
    let cell = full.w / columns;
    let side = 64 * dp;
    let top = if full.w > full.h { 96 * dp } else { 216 * dp };
    Rect {
        x: index % columns * cell + (cell - side) / 2,
        y: top + index / columns * 124 * dp,
        w: side,
        h: side,
    }
}

/// The icon under a pixel, with its label's space.
pub fn icon_at(size: Size, count: usize, at: (i32, i32)) -> Option<usize> {
    let label = 32 * dp(size);
    (0..count).find(|&index| {
        let icon = icon(size, index);
        Rect {
            h: icon.h + label,
            ..icon
        }
        .contains(at)
    })
}

/// The middle of an app's icon, for a tap.
pub fn icon_centre(size: Size, index: usize) -> (i32, i32) {
    let icon = icon(size, index);
    (icon.x + icon.w / 2, icon.y + icon.h / 2)
}

fn icon_columns(size: Size) -> i32 {
    if size.width > size.height { 5 } else { 3 }
}
