//! Link-layer types: libpcap's `DLT_` values, their names, and their `LINKTYPE_` values in
//! savefiles.

use std::ffi::CStr;

/// A `DLT_` value as programs see it (not the `LINKTYPE_` value of savefiles).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dlt(pub i32);

/// What `pcap_datalink_val_to_name` and its kin say of a link-layer type.
struct Entry {
    dlt: Dlt,
    name: &'static CStr,
    description: &'static CStr,
}

const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(s) => s,
        Err(_) => panic!("a NUL at the end and nowhere else"),
    }
}

/// Makes the constants; a type with a description also enters the list of names, in this order.
macro_rules! dlts {
    ($($name:ident = $value:literal $(=> $description:literal)?;)*) => {
        impl Dlt {
            $(
                #[doc = concat!("`DLT_", stringify!($name), "`.", $(" ", $description, ".")?)]
                pub const $name: Self = Self($value);
            )*
        }

        /// Every constant and its name, for error texts.
        const SYMBOLS: &[(Dlt, &str)] = &[$((Dlt($value), stringify!($name)),)*];

        const NAMES: &[Entry] = &[
            $($(Entry {
                dlt: Dlt($value),
                name: c_str(concat!(stringify!($name), "\0")),
                description: c_str(concat!($description, "\0")),
            },)?)*
        ];
    };
}

// Values and texts: pcap/dlt.h and what libpcap 1.10.3 answers for every value.
dlts! {
    NULL = 0 => "BSD loopback";
    EN10MB = 1 => "Ethernet";
    EN3MB = 2;
    AX25 = 3;
    PRONET = 4;
    CHAOS = 5;
    IEEE802 = 6 => "Token ring";
    ARCNET = 7 => "BSD ARCNET";
    SLIP = 8 => "SLIP";
    PPP = 9 => "PPP";
    FDDI = 10 => "FDDI";
    ATM_RFC1483 = 11 => "RFC 1483 LLC-encapsulated ATM";
    RAW = 12 => "Raw IP";
    SLIP_BSDOS = 15 => "BSD/OS SLIP";
    PPP_BSDOS = 16 => "BSD/OS PPP";
    ATM_CLIP = 19 => "Linux Classical IP over ATM";
    REDBACK_SMARTEDGE = 32;
    PPP_SERIAL = 50 => "PPP over serial";
    PPP_ETHER = 51 => "PPPoE";
    SYMANTEC_FIREWALL = 99 => "Symantec Firewall";
    C_HDLC = 104 => "Cisco HDLC";
    IEEE802_11 = 105 => "802.11";
    FRELAY = 107 => "Frame Relay";
    LOOP = 108 => "OpenBSD loopback";
    ENC = 109 => "OpenBSD encapsulated IP";
    HDLC = 112;
    LINUX_SLL = 113 => "Linux cooked v1";
    LTALK = 114 => "Localtalk";
    ECONET = 115;
    IPFILTER = 116;
    PFLOG = 117 => "OpenBSD pflog file";
    CISCO_IOS = 118;
    PRISM_HEADER = 119 => "802.11 plus Prism header";
    AIRONET_HEADER = 120;
    HHDLC = 121;
    IP_OVER_FC = 122 => "RFC 2625 IP-over-Fibre Channel";
    SUNATM = 123 => "Sun raw ATM";
    RIO = 124;
    PCI_EXP = 125;
    AURORA = 126;
    IEEE802_11_RADIO = 127 => "802.11 plus radiotap header";
    TZSP = 128;
    ARCNET_LINUX = 129 => "Linux ARCNET";
    JUNIPER_MLPPP = 130 => "Juniper Multi-Link PPP";
    JUNIPER_MLFR = 131 => "Juniper Multi-Link Frame Relay";
    JUNIPER_ES = 132 => "Juniper Encryption Services PIC";
    JUNIPER_GGSN = 133 => "Juniper GGSN PIC";
    JUNIPER_MFR = 134 => "Juniper FRF.16 Frame Relay";
    JUNIPER_ATM2 = 135 => "Juniper ATM2 PIC";
    JUNIPER_SERVICES = 136 => "Juniper Advanced Services PIC";
    JUNIPER_ATM1 = 137 => "Juniper ATM1 PIC";
    APPLE_IP_OVER_IEEE1394 = 138 => "Apple IP-over-IEEE 1394";
    MTP2_WITH_PHDR = 139 => "SS7 MTP2 with Pseudo-header";
    MTP2 = 140 => "SS7 MTP2";
    MTP3 = 141 => "SS7 MTP3";
    SCCP = 142 => "SS7 SCCP";
    DOCSIS = 143 => "DOCSIS";
    LINUX_IRDA = 144 => "Linux IrDA";
    IBM_SP = 145;
    IBM_SN = 146;
    USER0 = 147;
    USER1 = 148;
    USER2 = 149;
    USER3 = 150;
    USER4 = 151;
    USER5 = 152;
    USER6 = 153;
    USER7 = 154;
    USER8 = 155;
    USER9 = 156;
    USER10 = 157;
    USER11 = 158;
    USER12 = 159;
    USER13 = 160;
    USER14 = 161;
    USER15 = 162;
    IEEE802_11_RADIO_AVS = 163 => "802.11 plus AVS radio information header";
    JUNIPER_MONITOR = 164 => "Juniper Passive Monitor PIC";
    BACNET_MS_TP = 165 => "BACnet MS/TP";
    PPP_PPPD = 166 => "PPP for pppd, with direction flag";
    JUNIPER_PPPOE = 167 => "Juniper PPPoE";
    JUNIPER_PPPOE_ATM = 168 => "Juniper PPPoE/ATM";
    GPRS_LLC = 169 => "GPRS LLC";
    GPF_T = 170 => "GPF-T";
    GPF_F = 171 => "GPF-F";
    GCOM_T1E1 = 172;
    GCOM_SERIAL = 173;
    JUNIPER_PIC_PEER = 174 => "Juniper PIC Peer";
    ERF_ETH = 175 => "Ethernet with Endace ERF header";
    ERF_POS = 176 => "Packet-over-SONET with Endace ERF header";
    LINUX_LAPD = 177 => "Linux vISDN LAPD";
    JUNIPER_ETHER = 178 => "Juniper Ethernet";
    JUNIPER_PPP = 179 => "Juniper PPP";
    JUNIPER_FRELAY = 180 => "Juniper Frame Relay";
    JUNIPER_CHDLC = 181 => "Juniper C-HDLC";
    MFR = 182 => "FRF.16 Frame Relay";
    JUNIPER_VP = 183 => "Juniper Voice PIC";
    A429 = 184 => "Arinc 429";
    A653_ICM = 185 => "Arinc 653 Interpartition Communication";
    USB_FREEBSD = 186 => "USB with FreeBSD header";
    USB = 186;
    BLUETOOTH_HCI_H4 = 187 => "Bluetooth HCI UART transport layer";
    IEEE802_16_MAC_CPS = 188 => "IEEE 802.16 MAC Common Part Sublayer";
    USB_LINUX = 189 => "USB with Linux header";
    CAN20B = 190 => "Controller Area Network (CAN) v. 2.0B";
    IEEE802_15_4_LINUX = 191 => "IEEE 802.15.4 with Linux padding";
    PPI = 192 => "Per-Packet Information";
    IEEE802_16_MAC_CPS_RADIO = 193 => "IEEE 802.16 MAC Common Part Sublayer plus radiotap header";
    JUNIPER_ISM = 194 => "Juniper Integrated Service Module";
    IEEE802_15_4 = 195 => "IEEE 802.15.4 with FCS";
    IEEE802_15_4_WITHFCS = 195;
    SITA = 196 => "SITA pseudo-header";
    ERF = 197 => "Endace ERF header";
    RAIF1 = 198 => "Ethernet with u10 Networks pseudo-header";
    IPMB_KONTRON = 199 => "IPMB with Kontron pseudo-header";
    JUNIPER_ST = 200 => "Juniper Secure Tunnel";
    BLUETOOTH_HCI_H4_WITH_PHDR = 201 => "Bluetooth HCI UART transport layer plus pseudo-header";
    AX25_KISS = 202 => "AX.25 with KISS header";
    LAPD = 203;
    PPP_WITH_DIR = 204;
    C_HDLC_WITH_DIR = 205;
    FRELAY_WITH_DIR = 206;
    LAPB_WITH_DIR = 207;
    // The name that libpcap after 1.10 has for the same value.
    I2C_LINUX = 209;
    IPMB_LINUX = 209 => "IPMB with Linux/Pigeon Point pseudo-header";
    FLEXRAY = 210;
    MOST = 211;
    LIN = 212;
    X2E_SERIAL = 213;
    X2E_XORAYA = 214;
    IEEE802_15_4_NONASK_PHY = 215 => "IEEE 802.15.4 with non-ASK PHY data";
    LINUX_EVDEV = 216 => "Linux evdev events";
    GSMTAP_UM = 217;
    GSMTAP_ABIS = 218;
    MPLS = 219 => "MPLS with label as link-layer header";
    USB_LINUX_MMAPPED = 220 => "USB with padded Linux header";
    DECT = 221 => "DECT";
    AOS = 222 => "AOS Space Data Link protocol";
    WIHART = 223 => "Wireless HART";
    FC_2 = 224 => "Fibre Channel FC-2";
    FC_2_WITH_FRAME_DELIMS = 225 => "Fibre Channel FC-2 with frame delimiters";
    IPNET = 226 => "Solaris ipnet";
    CAN_SOCKETCAN = 227 => "CAN-bus with SocketCAN headers";
    IPV4 = 228 => "Raw IPv4";
    IPV6 = 229 => "Raw IPv6";
    IEEE802_15_4_NOFCS = 230 => "IEEE 802.15.4 without FCS";
    DBUS = 231 => "D-Bus";
    JUNIPER_VS = 232 => "Juniper Virtual Server";
    JUNIPER_SRX_E2E = 233 => "Juniper SRX E2E";
    JUNIPER_FIBRECHANNEL = 234 => "Juniper Fibre Channel";
    DVB_CI = 235 => "DVB-CI";
    MUX27010 = 236 => "MUX27010";
    STANAG_5066_D_PDU = 237 => "STANAG 5066 D_PDUs";
    JUNIPER_ATM_CEMIC = 238 => "Juniper ATM CEMIC";
    NFLOG = 239 => "Linux netfilter log messages";
    NETANALYZER = 240 => "Ethernet with Hilscher netANALYZER pseudo-header";
    NETANALYZER_TRANSPARENT = 241 => "Ethernet with Hilscher netANALYZER pseudo-header and with preamble and SFD";
    IPOIB = 242 => "RFC 4391 IP-over-Infiniband";
    MPEG_2_TS = 243 => "MPEG-2 transport stream";
    NG40 = 244 => "ng40 protocol tester Iub/Iur";
    NFC_LLCP = 245 => "NFC LLCP PDUs with pseudo-header";
    PFSYNC = 246 => "Packet filter state syncing";
    INFINIBAND = 247 => "InfiniBand";
    SCTP = 248 => "SCTP";
    USBPCAP = 249 => "USB with USBPcap header";
    RTAC_SERIAL = 250 => "Schweitzer Engineering Laboratories RTAC packets";
    BLUETOOTH_LE_LL = 251 => "Bluetooth Low Energy air interface";
    WIRESHARK_UPPER_PDU = 252;
    NETLINK = 253 => "Linux netlink";
    BLUETOOTH_LINUX_MONITOR = 254 => "Bluetooth Linux Monitor";
    BLUETOOTH_BREDR_BB = 255 => "Bluetooth Basic Rate/Enhanced Data Rate baseband packets";
    BLUETOOTH_LE_LL_WITH_PHDR = 256 => "Bluetooth Low Energy air interface with pseudo-header";
    PROFIBUS_DL = 257 => "PROFIBUS data link layer";
    PKTAP = 258 => "Apple DLT_PKTAP";
    EPON = 259 => "Ethernet with 802.3 Clause 65 EPON preamble";
    IPMI_HPM_2 = 260 => "IPMI trace packets";
    ZWAVE_R1_R2 = 261 => "Z-Wave RF profile R1 and R2 packets";
    ZWAVE_R3 = 262 => "Z-Wave RF profile R3 packets";
    WATTSTOPPER_DLM = 263 => "WattStopper Digital Lighting Management (DLM) and Legrand Nitoo Open protocol";
    ISO_14443 = 264 => "ISO 14443 messages";
    RDS = 265 => "IEC 62106 Radio Data System groups";
    USB_DARWIN = 266 => "USB with Darwin header";
    OPENFLOW = 267 => "OpenBSD DLT_OPENFLOW";
    SDLC = 268 => "IBM SDLC frames";
    TI_LLN_SNIFFER = 269 => "TI LLN sniffer frames";
    LORATAP = 270;
    VSOCK = 271 => "Linux vsock";
    NORDIC_BLE = 272 => "Nordic Semiconductor Bluetooth LE sniffer frames";
    DOCSIS31_XRA31 = 273 => "Excentis XRA-31 DOCSIS 3.1 RF sniffer frames";
    ETHERNET_MPACKET = 274 => "802.3br mPackets";
    DISPLAYPORT_AUX = 275 => "DisplayPort AUX channel monitoring data";
    LINUX_SLL2 = 276 => "Linux cooked v2";
    SERCOS_MONITOR = 277;
    OPENVIZSLA = 278 => "OpenVizsla USB";
    EBHSCR = 279 => "Elektrobit High Speed Capture and Replay (EBHSCR)";
    VPP_DISPATCH = 280 => "VPP graph dispatch tracer";
    DSA_TAG_BRCM = 281 => "Broadcom tag";
    DSA_TAG_BRCM_PREPEND = 282 => "Broadcom tag (prepended)";
    IEEE802_15_4_TAP = 283 => "IEEE 802.15.4 with pseudo-header";
    DSA_TAG_DSA = 284 => "Marvell DSA";
    DSA_TAG_EDSA = 285 => "Marvell EDSA";
    ELEE = 286 => "ELEE lawful intercept packets";
    Z_WAVE_SERIAL = 287 => "Z-Wave serial frames between host and chip";
    USB_2_0 = 288 => "USB 2.0/1.1/1.0 as transmitted over the cable";
    ATSC_ALP = 289 => "ATSC Link-Layer Protocol packets";
    // Assigned after 1.10.3. Names and values are libpcap's, the descriptions are our words.
    ETW = 290 => "Event Tracing for Windows messages";
    NETANALYZER_NG = 291 => "Hilscher netANALYZER NG pseudo-footer";
    ZBOSS_NCP = 292 => "ZBOSS NCP protocol with pseudo-header";
    USB_2_0_LOW_SPEED = 293 => "Low-Speed USB 2.0/1.1/1.0 as transmitted over the cable";
    USB_2_0_FULL_SPEED = 294 => "Full-Speed USB 2.0/1.1/1.0 as transmitted over the cable";
    USB_2_0_HIGH_SPEED = 295 => "High-Speed USB 2.0 as transmitted over the cable";
    AUERSWALD_LOG = 296 => "Auerswald Logger Protocol";
    ZWAVE_TAP = 297 => "Z-Wave packets with a TAP meta-data header";
    SILABS_DEBUG_CHANNEL = 298 => "Silicon Labs debug channel protocol";
    FIRA_UCI = 299 => "Ultra-wideband controller interface protocol";
    MDB = 300 => "Multi-Drop Bus";
    DECT_NR = 301 => "DECT New Radio";
}

impl Dlt {
    /// Lowest value that is the same as `DLT_` and as `LINKTYPE_`.
    const MATCHING_MIN: i32 = 104;
    /// Highest such value (1.10.3: 289).
    const MATCHING_MAX: i32 = 301;

    /// Pairs of `DLT_` and `LINKTYPE_` values that differ. On Linux; other systems have other
    /// values for them, which is why savefiles have numbers of their own.
    const DIFFERENT: [(i32, i32); 5] = [(11, 100), (12, 101), (15, 102), (16, 103), (19, 106)];

    /// Types outside the matching range with the same value in savefiles.
    const fn is_same_below_matching(value: i32) -> bool {
        matches!(value, 0..=10 | 50 | 51 | 99)
    }

    /// The value that goes into a savefile; `None` where there is none.
    pub fn to_linktype(self) -> Option<u32> {
        if let Some(&(_, linktype)) = Self::DIFFERENT.iter().find(|(dlt, _)| *dlt == self.0) {
            return Some(linktype as u32);
        }
        let same = (Self::MATCHING_MIN..=Self::MATCHING_MAX).contains(&self.0)
            || Self::is_same_below_matching(self.0);
        same.then_some(self.0 as u32)
    }

    /// The type that a savefile's value stands for. A value that is not known is taken as a
    /// `DLT_` value: old files have such.
    pub fn from_linktype(linktype: u32) -> Self {
        let differs = Self::DIFFERENT.iter().find(|(_, l)| *l as u32 == linktype);
        differs.map_or(Self(linktype as i32), |&(dlt, _)| Self(dlt))
    }

    /// The name without `DLT_`; `None` for types that libpcap does not name.
    pub fn name(self) -> Option<&'static CStr> {
        NAMES.iter().find(|e| e.dlt == self).map(|e| e.name)
    }

    /// The name without `DLT_`, also of types for which [`Dlt::name`] has none.
    pub fn symbol(self) -> Option<&'static str> {
        SYMBOLS.iter().find(|(dlt, _)| *dlt == self).map(|&(_, symbol)| symbol)
    }

    /// The type whose [`Dlt::symbol`] this is.
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        SYMBOLS.iter().find(|(_, known)| *known == symbol).map(|&(dlt, _)| dlt)
    }

    /// A description in a few words, for the types that have a name.
    pub fn description(self) -> Option<&'static CStr> {
        NAMES.iter().find(|e| e.dlt == self).map(|e| e.description)
    }

    /// The type with a name (without `DLT_`, in any case).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        NAMES.iter().find(|e| e.name.to_bytes().eq_ignore_ascii_case(name)).map(|e| e.dlt)
    }

    /// The longest packet believed to be real, bytes; a length above it means a damaged file.
    pub fn max_snaplen(self) -> u32 {
        match self {
            Self::DBUS => 128 * 1024 * 1024,
            Self::EBHSCR => 8 * 1024 * 1024,
            Self::USBPCAP => 1024 * 1024,
            _ => 262_144,
        }
    }
}

/// The parts of the 32-bit link-layer type field of a pcap file's header:
/// <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinktypeField(pub u32);

impl LinktypeField {
    /// The `LINKTYPE_` value.
    pub fn linktype(self) -> u32 {
        self.0 & 0x0000_ffff
    }

    /// Bits that must be zero.
    pub fn reserved(self) -> u32 {
        self.0 & 0x03ff_0000
    }

    /// What `pcap_datalink_ext` returns: length of the frame check sequence in 16-bit units in
    /// bits 28 to 31, valid when bit 26 is set; kept as found, for copies of the file.
    pub fn extension(self) -> u32 {
        self.0 & 0xfc00_0000
    }
}
