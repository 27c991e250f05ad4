/* Where programs have always found it. */
#include <pcap/pcap.h>
