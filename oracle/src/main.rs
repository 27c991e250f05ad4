//! The system's libpcap, driven over stdin and stdout.

mod serve;

use oracle::proto::Request;
use oracle::wire::{In, Out};
use std::io::{BufReader, BufWriter};

fn main() {
    let mut from = BufReader::new(std::io::stdin().lock());
    let mut to = BufWriter::new(std::io::stdout().lock());
    while let Some(mut m) = In::receive(&mut from) {
        let request = Request::from_byte(m.u8()).expect("a known request");
        let mut out = Out::new();
        answer(request, &mut m, &mut out);
        if out.send(&mut to).is_err() {
            return;
        }
    }
}

fn answer(request: Request, m: &mut In, out: &mut Out) {
    match request {
        Request::Version => serve::names::version(out),
        Request::Datalink => serve::names::datalink(m, out),
        Request::Compile => serve::filter::compile(m, out),
        Request::Filter => serve::filter::filter(m, out),
        Request::Validate => serve::filter::validate(m, out),
        Request::Image => serve::filter::image(m, out),
        Request::BenchCompile => serve::filter::bench_compile(m, out),
        Request::BenchFilter => serve::filter::bench_filter(m, out),
        Request::ReadFile => serve::savefile::read(m, out),
        Request::WriteFile => serve::savefile::write(m, out),
        Request::BenchRead => serve::savefile::bench_read(m, out),
        Request::BenchWrite => serve::savefile::bench_write(m, out),
    }
}
