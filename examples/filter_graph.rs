//! Shows a filter on its way through the compiler: the syntax tree, then the graph in Graphviz's
//! language, as built and after every pass that changed it, then the program.
//!
//!     cargo run --example filter_graph -- 'tcp port 80' 1 | …
//!
//! The second argument is a `DLT_` value, 1 (Ethernet) without it.

use pcap::bpf::{DumpStyle, dump};
use pcap::filter::optimize::{Loads, dot, run_traced};
use pcap::filter::{NoNames, Options, cfg, emit, lower, parser};
use pcap::linktype::Dlt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let text = args.next().unwrap_or_default();
    let dlt = args.next().map_or(Ok(1), |dlt| dlt.parse())?;
    let options = Options::new(Dlt(dlt));
    let ast = parser::parse(text.as_bytes()).map_err(|error| error.error)?;
    println!("{ast:#?}");
    let lowered = lower::lower(&ast, &options, &NoNames, lower::Lists::Sets)?;
    let loads = if lowered.optimizable { Loads::DropUnused } else { Loads::KeepAll };
    let mut graph = cfg::build(lowered.tree, lowered.root, options.snaplen);
    println!("{}", dot(&graph, "as built"));
    run_traced(&mut graph, loads, &mut |pass, graph| println!("{}", dot(graph, pass)));
    let mut listing = String::new();
    dump(emit::emit(&graph)?.insns(), DumpStyle::from_option(1), &mut listing)?;
    print!("{listing}");
    Ok(())
}
