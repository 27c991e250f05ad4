//! The DPDK backend on virtual devices. Needs the plug-in (`make`, or
//! `cargo build -p oxpcap-dpdk`); without it these tests say so and pass.

mod dpdk {
    mod faults;
    mod filters;
    mod flow;
    mod live;
    mod ports;
    mod programs;
    pub mod setup;
    mod tcpdump;
}
