//! Client of the `oracle` program; see the README beside this crate.

pub mod proto;
pub mod wire;

pub use proto::{CompileOptions, FileContents, FilePacket, Insn, WriteOptions};

use proto::{Request, get_program, put_program};
use std::io::{BufReader, BufWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use wire::{In, Out};

/// A running oracle.
pub struct Oracle {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// Name and description of a link-layer type.
pub type DatalinkText = (Option<String>, Option<String>);

impl Oracle {
    /// Starts the program.
    ///
    /// # Panics
    /// When it can be neither found nor built.
    pub fn start() -> Self {
        let mut command = Command::new(program());
        command
            .env_remove("LD_PRELOAD")
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        without_network(&mut command);
        let mut child = command.spawn().expect("start the oracle");
        let to = BufWriter::new(child.stdin.take().expect("piped stdin"));
        let from = BufReader::new(child.stdout.take().expect("piped stdout"));
        Self { child, to, from }
    }

    fn ask(&mut self, request: Request, fill: impl FnOnce(&mut Out)) -> Option<In> {
        let mut out = Out::new();
        out.u8(request as u8);
        fill(&mut out);
        out.send(&mut self.to).ok().and_then(|()| In::receive(&mut self.from))
    }

    fn must(&mut self, request: Request, fill: impl FnOnce(&mut Out)) -> In {
        self.ask(request, fill).unwrap_or_else(|| panic!("the oracle died on {request:?}"))
    }

    /// `pcap_lib_version`.
    pub fn version(&mut self) -> String {
        self.must(Request::Version, |_| ()).text()
    }

    /// `pcap_compile` on a dead handle: the program or libpcap's error text.
    pub fn compile(&mut self, filter: &str, options: &CompileOptions) -> Result<Vec<Insn>, String> {
        self.try_compile(filter, options).expect("the oracle died on Compile")
    }

    /// Like [`Self::compile`]; `None`, and a new process, where libpcap crashed.
    pub fn try_compile(
        &mut self,
        filter: &str,
        options: &CompileOptions,
    ) -> Option<Result<Vec<Insn>, String>> {
        let answer = self.ask(Request::Compile, |out| {
            options.put(out);
            out.bytes(filter.as_bytes());
        });
        let Some(mut m) = answer else {
            *self = Self::start();
            return None;
        };
        Some(if m.u8() == 0 { Ok(get_program(&mut m)) } else { Err(m.text()) })
    }

    /// `bpf_filter` on each packet (bytes present, length on the wire).
    pub fn filter(&mut self, program: &[Insn], packets: &[(&[u8], u32)]) -> Vec<u32> {
        self.try_filter(program, packets).expect("the oracle died on Filter")
    }

    /// Like [`Self::filter`]; `None`, and a new process, where libpcap crashed.
    pub fn try_filter(&mut self, program: &[Insn], packets: &[(&[u8], u32)]) -> Option<Vec<u32>> {
        let answer = self.ask(Request::Filter, |out| {
            put_program(out, program);
            put_packets(out, packets);
        });
        let Some(mut m) = answer else {
            *self = Self::start();
            return None;
        };
        Some(packets.iter().map(|_| m.u32()).collect())
    }

    /// `bpf_validate`.
    pub fn validate(&mut self, program: &[Insn]) -> bool {
        self.must(Request::Validate, |out| put_program(out, program)).u8() != 0
    }

    /// `bpf_image`.
    pub fn image(&mut self, insn: Insn, number: i32) -> String {
        self.must(Request::Image, |out| {
            put_program(out, &[insn]);
            out.i32(number);
        })
        .text()
    }

    /// Nanoseconds that `runs` calls of `pcap_compile` (and `pcap_freecode`) took.
    pub fn bench_compile(&mut self, filter: &str, options: &CompileOptions, runs: u32) -> u64 {
        self.must(Request::BenchCompile, |out| {
            options.put(out);
            out.bytes(filter.as_bytes()).u32(runs);
        })
        .u64()
    }

    /// Nanoseconds that `rounds` rounds of `pcap_offline_filter` over all packets took, and how
    /// many were accepted in all; `warm` for as many rounds before that are not timed.
    pub fn bench_filter(
        &mut self,
        program: &[Insn],
        packets: &[(&[u8], u32)],
        rounds: u32,
        warm: bool,
    ) -> (u64, u64) {
        let mut m = self.must(Request::BenchFilter, |out| {
            put_program(out, program);
            put_packets(out, packets);
            out.u32(rounds).u8(warm.into());
        });
        (m.u64(), m.u64())
    }

    /// Reads a savefile to its end; `Err` is the error of opening it.
    pub fn read_file(&mut self, path: &Path, nano: bool) -> Result<FileContents, String> {
        let mut m = self.must(Request::ReadFile, |out| {
            put_path(out, path);
            out.u8(nano.into());
        });
        if m.u8() != 0 {
            return Err(m.text());
        }
        let mut contents = FileContents {
            dlt: m.i32(),
            dlt_ext: m.i32(),
            snaplen: m.i32(),
            swapped: m.u8() != 0,
            version: (m.i32(), m.i32()),
            ..FileContents::default()
        };
        while m.u8() != 0 {
            contents.packets.push(FilePacket {
                sec: m.u64() as i64,
                frac: m.u64() as i64,
                caplen: m.u32(),
                len: m.u32(),
                data: m.bytes(),
            });
        }
        contents.error = m.text();
        Ok(contents)
    }

    /// Writes packets to a savefile; `Err` is the error of opening it.
    pub fn write_file(
        &mut self,
        path: &Path,
        options: &WriteOptions,
        packets: &[FilePacket],
    ) -> Result<(), String> {
        let mut m = self.must(Request::WriteFile, |out| {
            put_path(out, path);
            out.i32(options.dlt).i32(options.snaplen);
            out.u8(options.nano.into()).u8(options.append.into());
            out.u32(packets.len() as u32);
            for p in packets {
                out.u64(p.sec as u64).u64(p.frac as u64).u32(p.len).bytes(&p.data);
            }
        });
        if m.u8() == 0 { Ok(()) } else { Err(m.text()) }
    }

    /// Nanoseconds of processor time to read a savefile through `pcap_dispatch` with an empty callback, and the
    /// number of packets.
    pub fn bench_read(&mut self, path: &Path) -> (u64, u64) {
        let mut m = self.must(Request::BenchRead, |out| put_path(out, path));
        (m.u64(), m.u64())
    }

    /// Nanoseconds of processor time to write `count` packets of `size` bytes to a savefile.
    pub fn bench_write(&mut self, path: &Path, size: u32, count: u32) -> u64 {
        self.must(Request::BenchWrite, |out| {
            put_path(out, path);
            out.u32(size).u32(count);
        })
        .u64()
    }

    /// `pcap_datalink_val_to_name` and `pcap_datalink_val_to_description`.
    pub fn datalink(&mut self, dlt: i32) -> DatalinkText {
        let mut m = self.must(Request::Datalink, |out| {
            out.i32(dlt);
        });
        let mut text = || (m.u8() != 0).then(|| m.text());
        (text(), text())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives the program a network namespace of its own, where the system allows that: names in
/// filters are looked up in files, and no name server is asked.
fn without_network(command: &mut Command) {
    let unshare = || {
        // SAFETY: takes any flags.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            // SAFETY: as before.
            unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
        }
        Ok(())
    };
    // SAFETY: system calls only.
    unsafe { command.pre_exec(unshare) };
}

fn put_path(out: &mut Out, path: &Path) {
    use std::os::unix::ffi::OsStrExt;
    out.bytes(path.as_os_str().as_bytes());
}

fn put_packets(out: &mut Out, packets: &[(&[u8], u32)]) {
    out.u32(packets.len() as u32);
    for (data, len) in packets {
        out.u32(*len).bytes(data);
    }
}

/// Path of the program; built on first use where it is not there.
fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("OXPCAP_ORACLE") {
            return path.into();
        }
        let exe = std::env::current_exe().expect("path of this test");
        // target/<profile>/deps/<test>, or target/<profile>/<program>
        let dir =
            exe.ancestors().skip(1).find(|d| !d.ends_with("deps") && !d.ends_with("examples"));
        let path = dir.expect("a target directory").join("oracle");
        build(path.parent().expect("a target directory"));
        path
    })
}

/// Always asks cargo: a stale oracle would answer an older protocol.
fn build(profile_dir: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "oracle", "--bin", "oracle"]);
    // The directory has the profile's name, but for the default one.
    if let Some(profile) = profile_dir.file_name().filter(|name| *name != "debug") {
        cargo.arg("--profile").arg(profile);
    }
    cargo.arg("--target-dir").arg(profile_dir.parent().expect("target directory"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = cargo.env_remove("LD_LIBRARY_PATH").status().expect("run cargo");
    assert!(status.success(), "cannot build the oracle (is libpcap0.8-dev installed?)");
}
