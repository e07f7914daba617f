//! Affine transforms of the plane, in double precision.
//!
//! ```text
//!   x' = x.0 · x + x.1 · y + x.2
//!   y' = y.0 · x + y.1 · y + y.2
//! ```
//!
//! The order of every sum and product is part of what is followed: positions are cut off to whole pixels, and another
//! order would land some of them one pixel beside.

use crate::android::Size;

/// A transform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    x: [f64; 3],
    y: [f64; 3],
}

impl Affine {
    /// Exchanges left and right of the unit square.
    pub(super) const MIRROR: Self = Self {
        x: [-1.0, 0.0, 1.0],
        y: [0.0, 1.0, 0.0],
    };

    pub(super) fn moved(x: f64, y: f64) -> Self {
        Self {
            x: [1.0, 0.0, x],
            y: [0.0, 1.0, y],
        }
    }

    pub(super) fn scaled(x: f64, y: f64) -> Self {
        Self {
            x: [x, 0.0, 0.0],
            y: [0.0, y, 0.0],
        }
    }

    /// Pixels, from the top left, to the unit square, from the bottom left.
    pub(super) fn from_pixels(size: Size) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        Self {
            x: [1.0 / w, 0.0, 0.0],
            y: [0.0, -1.0 / h, 1.0],
        }
    }

    /// And back.
    pub(super) fn to_pixels(size: Size) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        Self {
            x: [w, 0.0, 0.0],
            y: [0.0, -h, h],
        }
    }

    /// The unit square on itself, quarters against the clock.
    pub(super) fn turned(quarters: u8) -> Self {
        let (x, y) = match quarters % 4 {
            0 => ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            1 => ([0.0, -1.0, 1.0], [1.0, 0.0, 0.0]),
            2 => ([-1.0, 0.0, 1.0], [0.0, -1.0, 1.0]),
            _ => ([0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]),
        };
        Self { x, y }
    }

    /// The unit square of a picture of this shape, about its middle, degrees against the clock.
    pub(super) fn leaned(degrees: f64, shape: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let turn = Self {
            x: [cos, -sin, 0.0],
            y: [sin, cos, 0.0],
        };
        let shaped = Self::scaled(1.0 / shape, 1.0)
            .after(turn)
            .after(Self::scaled(shape, 1.0));
        Self::moved(0.5, 0.5).after(shaped).after(Self::moved(-0.5, -0.5))
    }

    /// Pixels of a picture of this size that was turned, to pixels of it as it was before.
    pub(super) fn turned_back(quarters: u8, size: Size) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        let (x, y) = match quarters % 4 {
            0 => ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            1 => ([0.0, -1.0, h], [1.0, 0.0, 0.0]),
            2 => ([-1.0, 0.0, w], [0.0, -1.0, h]),
            _ => ([0.0, 1.0, 0.0], [-1.0, 0.0, w]),
        };
        Self { x, y }
    }

    /// First `before`, then this.
    pub(super) fn after(self, before: Self) -> Self {
        let row = |[a, c, e]: [f64; 3]| {
            let Self { x, y } = before;
            [a * x[0] + c * y[0], a * x[1] + c * y[1], a * x[2] + c * y[2] + e]
        };
        Self {
            x: row(self.x),
            y: row(self.y),
        }
    }

    /// The way back; `None` if there is none.
    pub(super) fn inverse(self) -> Option<Self> {
        let ([a, c, e], [b, d, f]) = (self.x, self.y);
        let det = a * d - c * b;
        (det != 0.0).then(|| Self {
            x: [d / det, -c / det, (c * f - d * e) / det],
            y: [-b / det, a / det, (b * e - a * f) / det],
        })
    }

    /// Where a point goes.
    pub(super) fn at(self, x: f64, y: f64) -> (f64, f64) {
        (
            self.x[0] * x + self.x[1] * y + self.x[2],
            self.y[0] * x + self.y[1] * y + self.y[2],
        )
    }
}
