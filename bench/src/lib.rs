//! The bench: measures the product from outside, in a real browser, and says what it found.
//!
//! It starts the product (or is pointed at a running one), drives a real Chromium, and reads times
//! out of the pixels: the latency target draws the time of drawing and the last touch's number into
//! every frame. Each figure has a unit and a method; what was left out is counted, never hidden.
//! `SPECIFICATION.md` beside this folder lists the promises.
//!
//! ```text
//!   quick ──► product   starts `farglass up`, makes links             (door to the product's REST)
//!     ├─────► visit ─► browser ─► devtools   Chromium, its protocol    (door to Chromium)
//!     │         │         └─────► page       what the scripts in page/*.js tell
//!     │         └────► procs                 CPU and memory            (door to /proc)
//!     └─────► frames, taps ─► histogram ─► figures ─► report
//! ```
//!
//! It deliberately knows nothing of the product's insides: pixels, the page, REST, `/proc`.

pub mod barcode;
pub mod browser;
pub mod devtools;
pub(crate) mod figures;
pub mod frames;
pub mod histogram;
pub mod page;
pub(crate) mod ports;
pub mod procs;
pub mod product;
pub mod quick;
pub mod report;
pub mod storm;
pub mod taps;
pub(crate) mod visit;

pub use product::Product;
pub use quick::{QuickConfig, quick};
pub use report::Report;
