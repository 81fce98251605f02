/* SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash of the directory, so that a peer who
 * chooses tokens cannot choose where they land. Pure. */
#ifndef DOP_BASE_SIPHASH_H
#define DOP_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t dop_siphash(const uint8_t key[16], const void *data, size_t len);

#endif
