/* Where programs have always found it. */
#include <pcap/namedb.h>
