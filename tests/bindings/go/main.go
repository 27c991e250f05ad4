// What Go's gopacket/pcap (cgo) offers, used; what it says goes to stdout.
//
// Arguments: a folder of savefiles, the ends of a veth pair.
package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcap"
)

// Good ones, and ones with an error of each kind.
var filters = []string{"", "ip", "tcp port 80 or udp portrange 53-1024", "ether[0] & 1 != 0", "len > 100", "vlan and ip",
	"not (arp or ip6)", "host", "port 99999999", "foo bar", "ip[1:3] = 0", "net 10.0.0.1/8", "port http and ("}

const patience, moment = 5 * time.Second, 200 * time.Millisecond

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func tables() {
	fmt.Println(strings.Fields(pcap.Version())[:2])
	for n := -1; n < 290; n++ {
		fmt.Println(n, pcap.DatalinkValToName(n), pcap.DatalinkValToDescription(n))
	}
	for _, name := range []string{"EN10MB", "en10mb", "DLT_EN10MB", "", "no such"} {
		fmt.Println(name, pcap.DatalinkNameToVal(name))
	}
	for _, name := range []string{"host", "adapter_unsynced", "", "x"} {
		source, err := pcap.TimestampSourceFromString(name)
		fmt.Println(name, source, err)
	}
	devices, err := pcap.FindAllDevs()
	fmt.Println(devices, err)
}

// read gives the packets that are left and a digest of them.
func read(handle *pcap.Handle) (int, uint64, error) {
	digest, n := fnv.New64(), 0
	for {
		data, info, err := handle.ReadPacketData()
		if err != nil {
			return n, digest.Sum64(), err
		}
		fmt.Fprintln(digest, info.Timestamp.UnixNano(), info.CaptureLength, info.Length, data)
		n++
	}
}

// Their descriptors are closed with the handles: Go must not do it, too.
var streams []*os.File

func savefile(path string) {
	fmt.Println(filepath.Base(path))
	handle, err := pcap.OpenOffline(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	links, err := handle.ListDataLinks()
	fmt.Println(handle.LinkType(), links, err, handle.SnapLen(), handle.Resolution())
	fmt.Println(read(handle))
	fmt.Println(read(handle))
	_, err = handle.Stats()
	fmt.Println(err, handle.SetDirection(pcap.DirectionIn), handle.SetLinkType(113), handle.WritePacketData([]byte{1, 2}), handle.Error())
	file, err := os.Open(path)
	must(err)
	streams = append(streams, file)
	handle, err = pcap.OpenOfflineFile(file)
	must(err)
	source := gopacket.NewPacketSource(handle, handle.LinkType())
	kinds := map[gopacket.LayerType]int{}
	for packet := range source.Packets() {
		for _, layer := range packet.Layers() {
			kinds[layer.LayerType()]++
		}
	}
	fmt.Println(kinds)
	handle.Close()
}

func filtering(path string) {
	syn := []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00E\x00\x00(\x00\x01\x00\x00@\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x00P\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00P\x02\x00\x00\x00\x00\x00\x00")
	info := gopacket.CaptureInfo{CaptureLength: len(syn), Length: len(syn)}
	for _, filter := range filters {
		handle, err := pcap.OpenOffline(path)
		must(err)
		fmt.Printf("%q %v ", filter, handle.SetBPFFilter(filter))
		fmt.Println(read(handle))
		handle.Close()
		program, err := pcap.NewBPF(layers.LinkTypeEthernet, 65535, filter)
		fmt.Print(err)
		if err == nil {
			fmt.Print(program.Matches(info, syn), program.String())
		}
		instructions, err := pcap.CompileBPFFilter(layers.LinkTypeEthernet, 65535, filter)
		fmt.Println(len(instructions) > 0, err)
	}
	handle, err := pcap.OpenOffline(path)
	must(err)
	fmt.Println(handle.SetBPFInstructionFilter([]pcap.BPFInstruction{{Code: 6, K: 60}}))
	fmt.Println(read(handle))
	fmt.Println(handle.SetBPFInstructionFilter([]pcap.BPFInstruction{{Code: 0x15, Jt: 9}}), handle.SetBPFInstructionFilter(nil))
	handle.Close()
}

func open(device string, immediate bool, timeout time.Duration) *pcap.Handle {
	inactive, err := pcap.NewInactiveHandle(device)
	must(err)
	defer inactive.CleanUp()
	for _, err := range []error{inactive.SetSnapLen(200), inactive.SetPromisc(true), inactive.SetTimeout(timeout),
		inactive.SetImmediateMode(immediate), inactive.SetBufferSize(1 << 20)} {
		must(err)
	}
	handle, err := inactive.Activate()
	must(err)
	return handle
}

func frame(number byte, size int) []byte {
	frame := append([]byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5"), make([]byte, size)...)[:size]
	for i := 14; i < size; i++ {
		frame[i] = number
	}
	return frame
}

// arrivals gives the lengths of what comes, until there are count or time is up.
func arrivals(handle *pcap.Handle, count int, patience time.Duration) []string {
	var got []string
	for end := time.Now().Add(patience); len(got) < count && time.Now().Before(end); {
		data, info, err := handle.ZeroCopyReadPacketData()
		if err == nil {
			got = append(got, fmt.Sprint(info.CaptureLength, info.Length, info.InterfaceIndex, data[14]))
		} else if err != pcap.NextErrorTimeoutExpired {
			return append(got, err.Error())
		}
	}
	return got
}

func live(near, far string) {
	sender := open(far, false, pcap.BlockForever)
	for _, immediate := range []bool{false, true} {
		handle := open(near, immediate, 20*time.Millisecond)
		links, err := handle.ListDataLinks()
		fmt.Println(handle.LinkType(), links, err, handle.SnapLen(), handle.Resolution())
		for number := byte(0); number < 5; number++ {
			fmt.Println(sender.WritePacketData(frame(number, 60+100*int(number))))
		}
		fmt.Println(arrivals(handle, 5, patience))
		fmt.Println(arrivals(handle, 1, moment))
		stats, err := handle.Stats()
		fmt.Println(stats, err)
		fmt.Println(handle.SetBPFFilter("ether[14] = 3"), handle.SetBPFFilter("ether["), handle.SetLinkType(143), handle.SetLinkType(9))
		for number := byte(0); number < 5; number++ {
			must(sender.WritePacketData(frame(number, 60)))
		}
		fmt.Println(arrivals(handle, 1, patience), arrivals(handle, 1, moment))
		stats, err = handle.Stats()
		fmt.Println(stats, err)
		handle.Close()
		_, _, err = handle.ReadPacketData()
		fmt.Println("closed:", err, err == io.EOF)
	}
	handle := open(near, true, 20*time.Millisecond)
	for _, direction := range []pcap.Direction{pcap.DirectionIn, pcap.DirectionOut, pcap.DirectionInOut, 9} {
		fmt.Println(handle.SetDirection(direction))
		must(sender.WritePacketData(frame(1, 60)))
		must(handle.WritePacketData(frame(2, 70)))
		got := arrivals(handle, 2, moment)
		sort.Strings(got)
		fmt.Println(got)
	}
	fmt.Println(sender.WritePacketData(frame(0, 1)), sender.WritePacketData(frame(0, 70000)))
	handle.Close()
	sender.Close()
}

// Several handles, each closed while its own goroutine reads.
func closing(near, far string) {
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		handle := open(near, i%2 == 0, []time.Duration{pcap.BlockForever, 20 * time.Millisecond}[i/4])
		all.Add(1)
		go func() {
			defer all.Done()
			for range gopacket.NewPacketSource(handle, handle.LinkType()).Packets() {
			}
		}()
		time.AfterFunc(moment, handle.Close)
	}
	finished := make(chan bool)
	go func() { all.Wait(); close(finished) }()
	// gopacket notices the end when a packet comes.
	sender := open(far, false, pcap.BlockForever)
	defer sender.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		must(sender.WritePacketData(frame(1, 60)))
		select {
		case <-finished:
			fmt.Println("all readers ended")
			return
		case <-time.After(time.Millisecond):
		}
	}
	fmt.Println("readers wait on")
}

func failures(near string) {
	for _, device := range []string{near, "lo", "any", "no such device", "", "a name that is much too long"} {
		for _, timeout := range []time.Duration{pcap.BlockForever, 0, time.Millisecond} {
			handle, err := pcap.OpenLive(device, 100, device != "any", timeout)
			fmt.Printf("%q %v\n", device, err)
			if err == nil {
				fmt.Println(handle.LinkType(), handle.SnapLen())
				handle.Close()
			}
		}
		inactive, err := pcap.NewInactiveHandle(device)
		must(err)
		fmt.Println(inactive.SupportedTimestamps(), inactive.SetTimestampSource(0), inactive.SetTimestampSource(77), inactive.SetRFMon(true), inactive.Error())
		_, err = inactive.Activate()
		fmt.Println(err)
		inactive.CleanUp()
	}
	_, err := pcap.OpenOffline("/nonexistent")
	fmt.Println(err)
}

func main() {
	folder, near, far := os.Args[1], os.Args[2], os.Args[3]
	paths, err := filepath.Glob(folder + "/*")
	must(err)
	tables()
	for _, path := range paths {
		savefile(path)
	}
	filtering(folder + "/mixed.pcap")
	live(near, far)
	closing(near, far)
	failures(near)
}
