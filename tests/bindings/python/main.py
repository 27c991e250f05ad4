"""All that PyPI's `libpcap` (ctypes) declares for Linux, called; what it says goes to stdout.

Arguments: a folder of savefiles, the ends of a veth pair.
"""
import ctypes as ct
import glob
import hashlib
import os
import signal
import sys
import tempfile
import threading
import time

import libpcap as pcap

FOLDER, NEAR, FAR = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode()
# What this library has already and libpcap's next version.
NEXT = {"open", "createsrcstr", "parsesrcstr", "findalldevs_ex", "setsampling"}
GOOD = [b"", b"ip", b"tcp port 80 or udp portrange 53-1024", b"ether[0] & 1 != 0", b"host 10.0.0.1", b"len > 100",
        b"vlan and ip", b"ip6 protochain 6", b"not (arp or ip6)", b"tcp[tcpflags] & tcp-syn != 0"]
BAD = [b"host", b"port 99999999", b"foo bar", b"host 1.2.3.4.5", b"ip[1:3] = 0", b"net 10.0.0.1/8", b"port http and (",
       b"len > 0x", b"greater 1 and less", b"\x80\xff"]
err = ct.create_string_buffer(pcap.PCAP_ERRBUF_SIZE)
libc = ct.CDLL(None)


def say(*words):
    print(*words, flush=True)


def text(handle):
    return pcap.geterr(handle).decode(errors="replace").replace(FOLDER, "")


def digest(what):
    return hashlib.md5(repr(what).encode()).hexdigest()[:8]


def collect(into):
    """A callback that keeps what it gets."""
    @pcap.pcap_handler
    def handler(user, header, data):
        h = header[0]
        into.append((h.ts.tv_sec, h.ts.tv_usec, h.caplen, h.len, digest(bytes(data[:h.caplen]))))
    return handler


def compiled(handle, expression, optimize=1):
    code = pcap.bpf_program()
    status = pcap.compile(handle, ct.byref(code), expression, optimize, pcap.PCAP_NETMASK_UNKNOWN)
    return code if status == 0 else None


def octets(data):
    return (ct.c_ubyte * len(data)).from_buffer_copy(data)


def frame(number, size=60):
    return (bytes.fromhex("020000000002" "020000000001" "88b5") + bytes([number]) * size)[:size]


def send(handle, data):
    return pcap.sendpacket(handle, octets(data), len(data))


def tables():
    say(pcap.lib_version().split()[:2])
    say(sorted(name for name in dir(pcap) if not name.startswith("_") and name not in NEXT))
    for number in range(-2, 290):
        say(number, pcap.datalink_val_to_name(number), pcap.datalink_val_to_description_or_dlt(number))
    for number in range(-2, 8):
        say(number, pcap.tstamp_type_val_to_name(number), pcap.tstamp_type_val_to_description(number))
    for number in range(-20, 8):
        say(number, pcap.statustostr(number))
    say([pcap.strerror(number) for number in (0, 2, 13, 4095, -1)])
    say([pcap.datalink_name_to_val(name) for name in (b"EN10MB", b"en10mb", b"DLT_EN10MB", b"", b"none")])
    say([pcap.tstamp_type_name_to_val(name) for name in (b"host", b"HOST", b"", b"x")])


def about(handle):
    links = ct.POINTER(ct.c_int)()
    n = pcap.list_datalinks(handle, ct.byref(links))
    say(" links", n, links[:max(n, 0)])
    if n > 0:
        pcap.free_datalinks(links)
    say(" ", pcap.datalink(handle), pcap.datalink_ext(handle), pcap.snapshot(handle), pcap.is_swapped(handle),
        pcap.major_version(handle), pcap.minor_version(handle), pcap.get_tstamp_precision(handle),
        pcap.getnonblock(handle, err), bool(pcap.file(handle)), bool(pcap.get_required_select_timeout(handle)))


def refused(handle):
    """What a savefile and a dead handle do not do."""
    say(" stats", pcap.stats(handle, ct.byref(pcap.stat())), text(handle))
    say(" nonblock", pcap.setnonblock(handle, 1, err), err.value, pcap.setdirection(handle, 1), text(handle))
    say(" send", send(handle, b"1234"), text(handle), pcap.inject(handle, octets(b"1234"), 4), text(handle))
    say(" set", pcap.set_snaplen(handle, 1), text(handle), pcap.set_tstamp_type(handle, 0), pcap.activate(handle), text(handle))
    say(" link", [(pcap.set_datalink(handle, link), text(handle)) for link in (1, 113, 9999)])


def savefile(path):
    say(os.path.basename(path))
    for precision in pcap.PCAP_TSTAMP_PRECISION_MICRO, pcap.PCAP_TSTAMP_PRECISION_NANO, 7:
        handle = pcap.open_offline_with_tstamp_precision(path.encode(), precision, err)
        if not handle:
            say(" ", precision, err.value.decode().replace(FOLDER, ""))
            continue
        about(handle)
        got, header, data = [], ct.POINTER(pcap.pkthdr)(), ct.POINTER(ct.c_ubyte)()
        say(" loop", pcap.loop(handle, -1, collect(got), None), len(got), digest(got), text(handle))
        say(" end", pcap.next_ex(handle, ct.byref(header), ct.byref(data)), pcap.dispatch(handle, -1, collect(got), None))
        refused(handle)
        pcap.close(handle)


def filters(path):
    for expression in GOOD + BAD:
        for optimize in 0, 1:
            handle = pcap.open_offline(path.encode(), err)
            code, got = compiled(handle, expression, optimize), []
            if code:
                say(expression, pcap.setfilter(handle, ct.byref(code)), pcap.loop(handle, 0, collect(got), None), len(got), digest(got))
                pcap.freecode(ct.byref(code))
                say(" freed", code.bf_len, bool(code.bf_insns))
            else:
                say(expression, text(handle))
            pcap.close(handle)


def dead():
    handle = pcap.open_dead_with_tstamp_precision(1, 96, 1)
    about(handle)
    say(" loop", pcap.loop(handle, 1, collect([]), None), text(handle))
    refused(handle)
    packet = octets(frame(1)[:12] + bytes.fromhex("08004500002800010000400600000a0000010a000002") + bytes(20))
    header = pcap.pkthdr(caplen=len(packet), len=len(packet))
    for expression in GOOD:
        code = compiled(handle, expression)
        say(expression, pcap.offline_filter(ct.byref(code), ct.byref(header), packet), pcap.bpf_validate(code.bf_insns, code.bf_len),
            pcap.bpf_filter(code.bf_insns, packet, len(packet), len(packet)))
        pcap.freecode(ct.byref(code))
    code = pcap.bpf_program()
    say(" nopcap", [pcap.compile_nopcap(65535, 1, ct.byref(code), expression, 1, 0) for expression in (b"ip", b"ip ip")])
    pcap.close(handle)


def dump(path):
    handle = pcap.open_offline_with_tstamp_precision(path.encode(), 1, err)
    dumper = pcap.dump_open(handle, b"dump.pcap")
    write = ct.cast(getattr(pcap._dll.dll, "pcap_dump"), pcap.pcap_handler)
    user = ct.cast(dumper, ct.POINTER(ct.c_ubyte))
    say("dump", pcap.dump_ftell(dumper), pcap.loop(handle, 3, write, user), pcap.dump_ftell64(dumper), pcap.dump_flush(dumper))
    pcap.dump_close(dumper)
    dumper = pcap.dump_open_append(handle, b"dump.pcap")
    pcap.loop(handle, 2, write, ct.cast(dumper, ct.POINTER(ct.c_ubyte)))
    pcap.dump_close(dumper)
    with open("dump.pcap", "rb") as file:
        say(" bytes", digest(file.read()))
    for name in b"/nonexistent/x", b"rubbish":
        with open("rubbish", "wb") as file:
            file.write(b"not a savefile at all, is it?")
        say(" append", bool(pcap.dump_open_append(handle, name)), text(handle))
    other = pcap.open_dead(113, 65535)
    say(" another link-layer type", bool(pcap.dump_open_append(other, b"dump.pcap")), text(other))
    pcap.close(other)
    pcap.close(handle)


def devices():
    first = ct.POINTER(pcap.pcap_if_t)()
    say("devices", pcap.findalldevs(ct.byref(first), err), err.value)
    device = first
    while device:
        d = device[0]
        address, families = d.addresses, []
        while address:
            a = address[0]
            families.append([bool(p) and p[0].sa_family for p in (a.addr, a.netmask, a.broadaddr, a.dstaddr)])
            address = a.next
        say(" ", d.name, d.description, hex(d.flags), families)
        device = d.next
    pcap.freealldevs(first)
    net, mask = ct.c_uint32(), ct.c_uint32()
    say(pcap.lookupdev(err), pcap.lookupnet(NEAR, ct.byref(net), ct.byref(mask), err), hex(net.value), hex(mask.value))
    say([(pcap.lookupnet(name, ct.byref(net), ct.byref(mask), err), err.value) for name in (FAR, b"any", b"none")])


def opened(device, **settings):
    """A handle, or what `activate` says."""
    handle = pcap.create(device, err)
    for name, value in {"snaplen": 200, "timeout": 20, "buffer_size": 1 << 20, **settings}.items():
        status = getattr(pcap, "set_" + name)(handle, value)
        if status:
            say(" set", name, value, status)
    status = pcap.activate(handle)
    if status == 0:
        return handle
    say(" activate", device, status, text(handle))
    pcap.close(handle)
    return None


def arrivals(handle, count, seconds):
    """The packets that come until there are `count`, without their times."""
    got, end = [], time.monotonic() + seconds
    handler = collect(got)
    pcap.setnonblock(handle, 1, err)
    while len(got) < count and time.monotonic() < end:
        if pcap.dispatch(handle, -1, handler, None) == 0:
            time.sleep(0.001)
    return sorted(packet[2:] for packet in got)


def live():
    sender, stat = opened(FAR), pcap.stat()
    for precision in 0, 1:
        for immediate in 0, 1:
            handle = opened(NEAR, promisc=1, tstamp_precision=precision, immediate_mode=immediate)
            about(handle)
            say("sent", [send(sender, frame(number, 60 + 100 * number)) for number in range(5)], arrivals(handle, 5, 5))
            code = compiled(handle, b"ether[14] = 3")
            say("filter", pcap.setfilter(handle, ct.byref(code)), [send(sender, frame(number)) for number in range(5)])
            pcap.freecode(ct.byref(code))
            say(arrivals(handle, 1, 5), arrivals(handle, 1, 0.2))
            say("stats", pcap.stats(handle, ct.byref(stat)), stat.ps_recv, stat.ps_drop, stat.ps_ifdrop)
            say("active", [getattr(pcap, "set_" + name)(handle, 1) for name in ("snaplen", "promisc", "timeout", "immediate_mode",
                "buffer_size", "tstamp_precision", "tstamp_type", "rfmon", "protocol_linux")], pcap.activate(handle), text(handle))
            pcap.close(handle)
    handle = opened(NEAR, immediate_mode=1)
    for direction in pcap.PCAP_D_IN, pcap.PCAP_D_OUT, pcap.PCAP_D_INOUT, 9:
        say("direction", pcap.setdirection(handle, direction), text(handle), send(sender, frame(1)), send(handle, frame(2)))
        say(arrivals(handle, 2, 0.2))
    # What errno was before follows the first text.
    say("send", send(handle, b""), text(handle).split(":")[0], send(handle, b"x"), text(handle), send(handle, bytes(70000)), text(handle))
    say("fd", pcap.fileno(handle) == pcap.get_selectable_fd(handle), pcap.set_datalink(handle, 143), pcap.set_datalink(handle, 9), text(handle))
    pcap.close(handle)
    pcap.close(sender)


def failures():
    for name in NEAR, b"any", b"lo", b"none", b"", b"x" * 40, b"nflog", b"dbus://nowhere":
        for rfmon in 0, 1:
            handle = opened(name, rfmon=rfmon)
            if handle:
                about(handle)
                pcap.close(handle)
    for arguments in (NEAR, 65535, 1, 10), (NEAR, -1, 0, -1), (b"none", 100, 0, 0), (None, 68, 0, 1):
        handle = pcap.open_live(*arguments, err)
        say("open_live", arguments, bool(handle), err.value)
        if handle:
            about(handle)
            pcap.close(handle)
    handle, types = pcap.create(NEAR, err), ct.POINTER(ct.c_int)()
    n = pcap.list_tstamp_types(handle, ct.byref(types))
    say("types", n, types[:n], [pcap.set_tstamp_type(handle, kind) for kind in range(-1, 7)],
        [pcap.set_tstamp_precision(handle, precision) for precision in (-1, 0, 1, 2)], pcap.can_set_rfmon(handle))
    pcap.free_tstamp_types(types)
    about(handle)
    say("not active", pcap.loop(handle, 1, collect([]), None), text(handle), pcap.stats(handle, ct.byref(pcap.stat())),
        pcap.setnonblock(handle, 0, err), pcap.setdirection(handle, 1), compiled(handle, b"ip"), text(handle),
        pcap.fileno(handle), pcap.bufsize(handle), bool(pcap.dump_open(handle, b"/dev/null")), text(handle))
    pcap.close(handle)


def breaking():
    """A thread, a signal handler, a callback end a wait that no timeout ends."""
    for immediate in 0, 1:
        for how in "thread", "signal", "callback":
            handle, sender, got = opened(NEAR, immediate_mode=immediate), opened(FAR), []
            handler = collect(got)
            if how == "thread":
                threading.Timer(0.2, pcap.breakloop, [handle]).start()
            elif how == "signal":
                on_alarm = ct.CFUNCTYPE(None, ct.c_int)(lambda number: pcap.breakloop(handle))
                libc.signal(signal.SIGALRM, on_alarm)
                signal.setitimer(signal.ITIMER_REAL, 0.2)
            else:
                handler = pcap.pcap_handler(lambda *packet: got.append(1) or len(got) == 2 and pcap.breakloop(handle))
                for number in range(4):
                    send(sender, frame(number))
            say(how, immediate, pcap.loop(handle, -1, handler, None), len(got), text(handle))
            pcap.close(sender)
            pcap.close(handle)


tables()
for each in sorted(glob.glob(FOLDER + "/*")):
    savefile(each)
mixed = os.path.join(FOLDER, "mixed.pcap")
filters(mixed)
dead()
with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    dump(mixed)
    os.chdir("/")
devices()
live()
failures()
breaking()
