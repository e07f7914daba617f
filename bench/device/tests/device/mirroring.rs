//! A scrcpy client in the same process: what it sees and what its messages do, over the device's own sockets.

mod audio;
mod cleanup;
mod displays;
mod encoders;
mod faults;
mod hid;
mod input;
mod key_frames;
mod options;
mod picture;
mod rig;
mod server;
mod traps;
mod video;
