//! The reference itself: the oracle answers, and it is the system's libpcap, not ours.

use oracle::{CompileOptions, Insn, Oracle};

#[test]
fn is_the_systems_libpcap() {
    let version = Oracle::start().version();
    assert!(version.starts_with("libpcap version 1."), "{version}");
    assert!(!version.contains("oxpcap"), "{version}");
}

#[test]
fn compiles_filters_and_runs() {
    let mut oracle = Oracle::start();
    let options = CompileOptions::ethernet();
    let program = oracle.compile("port 8888", &options).expect("a good filter");
    assert_eq!(program.len(), 24);
    assert!(oracle.validate(&program));
    assert_eq!(oracle.image(program[0], 0), "(000) ldh      [12]");
    assert_eq!(oracle.filter(&program, &[(&[0; 60], 60)]), [0]);
    assert!(oracle.compile("port and", &options).is_err());
    assert!(oracle.bench_compile("tcp", &options, 10) > 0);
    assert_eq!(
        oracle.bench_filter(&[Insn { code: 6, jt: 0, jf: 0, k: 1 }], &[(&[0], 1)], 5, true).1,
        5
    );
    assert_eq!(oracle.datalink(1).0.as_deref(), Some("EN10MB"));
}
