//! The only home of system calls, ioctls, mappings and look-ups.

pub mod bluetooth;
pub mod bpf;
pub mod burst;
pub mod cancel;
pub mod clock;
pub mod dbus;
pub mod ifaddrs;
pub mod netdb;
pub mod netdev;
pub mod netlink;
pub mod os_error;
pub mod packet;
pub mod plugin;
pub mod poll;
pub mod prefetch;
pub mod recv_batch;
pub mod ring_mem;
pub mod stdio;
pub mod threads;
