/* base: what every layer stands on. Needs libc only, knows nothing of the protocol.
 *
 *   alloc    memory, through one hook
 *   bytes    a growable run of bytes
 *   timers   deadlines on a heap; time is handed in
 *   random   the system's CSPRNG; for simulations a generator with a seed
 *   siphash  the keyed hash of the directory
 *   sha1     SHA-1 and Base64 for the upgrade
 */
#ifndef DOP_BASE_H
#define DOP_BASE_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/sha1.h"
#include "base/siphash.h"
#include "base/timers.h"

/* A function off the usual way: it may not make its caller's frame larger. */
#define DOP_SELDOM __attribute__((noinline, cold))

#endif
