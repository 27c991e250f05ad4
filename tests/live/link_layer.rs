//! Link-layer headers as programs see them: VLAN tags, cooked headers, none.

use crate::PATIENCE;
use crate::capture::{METHODS, config, half_word_is, open, packets};
use crate::netns::{Sender, in_namespace, run, tagged, udp, veth};
use pcap::capture::linux::Method;
use pcap::capture::{Direction, FilterMode};
use pcap::linktype::Dlt;

#[test]
fn vlan_tags_are_put_back() {
    in_namespace("vlan", || {
        veth("va", "vb");
        for method in METHODS {
            for (tpid, tci) in [(0x8100, 5), (0x88a8, 0x6005), (0x8100, 0)] {
                let mut live = open(&config("va"), method);
                assert!(live.live_target().vlan_aux);
                let frame = tagged(&udp(9, 53, 20), tpid, tci);
                Sender::on("vb").send(&frame);
                let got = packets(&mut *live, 1, PATIENCE).unwrap();
                assert_eq!(got[0].bytes, frame, "{method:?} {tpid:x} {tci:x}");
                assert_eq!(got[0].len as usize, frame.len());
            }
        }
    });
}

#[test]
fn any_with_cooked_headers() {
    in_namespace("any", || {
        veth("va", "vb");
        for method in METHODS {
            for linktype in [Dlt::LINUX_SLL, Dlt::LINUX_SLL2] {
                let mut live = open(&config("any"), method);
                assert_eq!(live.linktype(), Dlt::LINUX_SLL);
                assert_eq!(live.linktypes(), [Dlt::LINUX_SLL, Dlt::LINUX_SLL2]);
                live.set_linktype(linktype).unwrap();
                let header = if linktype == Dlt::LINUX_SLL { 16 } else { 20 };
                // The port, behind the cooked header instead of Ethernet's.
                live.set_filter(&half_word_is(header + 22, 53)).unwrap();
                assert_eq!(live.filter_placement().mode, FilterMode::KernelClassic);
                let frame = udp(1, 53, 5);
                Sender::on("vb").send(&udp(0, 54, 5));
                Sender::on("vb").send(&frame);
                let got = packets(&mut *live, 2, PATIENCE).unwrap();
                assert_eq!(got.len(), 2, "{method:?}");
                let index = |name: &str| {
                    let path = format!("/sys/class/net/{name}/ifindex");
                    std::fs::read_to_string(path).unwrap().trim().parse::<u32>().unwrap()
                };
                // Sent by b, then received by a, for another host.
                for (packet, (pkttype, name)) in got.iter().zip([(4u8, "vb"), (3, "va")]) {
                    let (head, rest) = packet.bytes.split_at(header as usize);
                    assert_eq!(rest, &frame[14..], "{method:?} {linktype:?}");
                    assert_eq!(packet.len as usize, packet.bytes.len());
                    let mut expected = vec![];
                    if linktype == Dlt::LINUX_SLL {
                        expected.extend([0, pkttype, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]);
                    } else {
                        expected.extend([8, 0, 0, 0]);
                        expected.extend(index(name).to_be_bytes());
                        expected.extend([0, 1, pkttype, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
                    }
                    assert_eq!(head[..head.len() - 2], expected[..expected.len() - 2]);
                }
            }
        }
    });
}

#[test]
fn cooked_vlan_tag_goes_in_front_of_the_protocol() {
    in_namespace("sllvlan", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("any"), method);
            live.set_direction(Direction::In).unwrap();
            Sender::on("vb").send(&tagged(&udp(1, 53, 5), 0x8100, 7));
            let got = packets(&mut *live, 1, PATIENCE).unwrap();
            assert_eq!(got[0].bytes[14..20], [0x81, 0, 0, 7, 8, 0], "{method:?}");
            assert_eq!(got[0].bytes[20..], udp(1, 53, 5)[14..], "{method:?}");
        }
    });
}

#[test]
fn tunnels_have_no_link_layer_header() {
    in_namespace("tun", || {
        run("ip tuntap add dev t0 mode tun");
        run("ip link set t0 up");
        let live = open(&config("t0"), Method::Auto);
        assert_eq!((live.linktype(), live.linktypes()), (Dlt::RAW, &[Dlt::RAW][..]));
    });
}
