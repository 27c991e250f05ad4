/*
 * Questions about the compiler, for programs that ask them: each macro is 0 or a comparison with
 * the version of the compiler that is running.
 */
#ifndef lib_pcap_compiler_tests_h
#define lib_pcap_compiler_tests_h

#ifndef __has_attribute
#define __has_attribute(x) 0
#endif

#ifdef __GNUC__
#define PCAP_IS_AT_LEAST_GNUC_VERSION(major, minor)                                                \
	(__GNUC__ > (major) || (__GNUC__ == (major) && __GNUC_MINOR__ >= (minor)))
#else
#define PCAP_IS_AT_LEAST_GNUC_VERSION(major, minor) 0
#endif

#ifdef __clang__
#define PCAP_IS_AT_LEAST_CLANG_VERSION(major, minor)                                               \
	(__clang_major__ > (major) || (__clang_major__ == (major) && __clang_minor__ >= (minor)))
#else
#define PCAP_IS_AT_LEAST_CLANG_VERSION(major, minor) 0
#endif

/* Compilers that this library is not built with on Linux, or that say they are GCC. */
#define PCAP_IS_AT_LEAST_SUNC_VERSION(major, minor) 0
#define PCAP_IS_AT_LEAST_XL_C_VERSION(major, minor) 0
#define PCAP_IS_AT_LEAST_HP_C_VERSION(major, minor) 0

#endif
