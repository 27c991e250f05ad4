/* Attributes of functions. */
#ifndef lib_pcap_funcattrs_h
#define lib_pcap_funcattrs_h

#include <pcap/compiler-tests.h>

/* An exported function. */
#if defined(pcap_EXPORTS) && PCAP_IS_AT_LEAST_GNUC_VERSION(3, 4)
#define PCAP_API_DEF __attribute__((visibility("default")))
#else
#define PCAP_API_DEF
#endif
#define PCAP_API PCAP_API_DEF extern

/* The release of libpcap in which a function appeared; a note to the reader. */
#define PCAP_AVAILABLE_0_4
#define PCAP_AVAILABLE_0_5
#define PCAP_AVAILABLE_0_6
#define PCAP_AVAILABLE_0_7
#define PCAP_AVAILABLE_0_8
#define PCAP_AVAILABLE_0_9
#define PCAP_AVAILABLE_1_0
#define PCAP_AVAILABLE_1_2
#define PCAP_AVAILABLE_1_5
#define PCAP_AVAILABLE_1_7
#define PCAP_AVAILABLE_1_8
#define PCAP_AVAILABLE_1_9
#define PCAP_AVAILABLE_1_10
#define PCAP_AVAILABLE_1_11

/* Before a declaration and before a definition. */
#if __has_attribute(noreturn) || PCAP_IS_AT_LEAST_GNUC_VERSION(2, 5)
#define PCAP_NORETURN __attribute((noreturn))
#define PCAP_NORETURN_DEF __attribute((noreturn))
#else
#define PCAP_NORETURN
#define PCAP_NORETURN_DEF
#endif

/* Parameter x is a printf format whose arguments begin with parameter y. */
#if __has_attribute(__format__) || PCAP_IS_AT_LEAST_GNUC_VERSION(2, 3)
#define PCAP_PRINTFLIKE(x, y) __attribute__((__format__(__printf__, x, y)))
#else
#define PCAP_PRINTFLIKE(x, y)
#endif
#define PCAP_FORMAT_STRING(p) p

/* There is something better; msg says what. */
#if __has_attribute(deprecated) || PCAP_IS_AT_LEAST_GNUC_VERSION(4, 5)
#define PCAP_DEPRECATED(msg) __attribute__((deprecated(msg)))
#elif PCAP_IS_AT_LEAST_GNUC_VERSION(3, 1)
#define PCAP_DEPRECATED(msg) __attribute__((deprecated))
#else
#define PCAP_DEPRECATED(msg)
#endif

#endif
