//! The only home of system calls, ioctls, mappings and look-ups.

pub mod clock;
pub mod plugin;
