//! The screen: draws what the device shows, in software.
//!
//! It knows a [`View`](crate::android::View) and pixels; it does not know who touches, who encodes, or when.

pub mod layout;
