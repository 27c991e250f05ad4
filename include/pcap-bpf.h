/* Where programs have always found it. */
#include <pcap/bpf.h>
