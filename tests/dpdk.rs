//! The DPDK backend on virtual devices. Needs the plug-in (`make`, or
//! `cargo build -p oxpcap-dpdk`); without it these tests say so and pass.

mod dpdk {
    mod faults;
    mod filters;
    mod flow;
    mod huge;
    mod live;
    mod missing;
    mod ports;
    mod programs;
    mod queues;
    pub mod setup;
    mod taps;
    mod tcpdump;
}
