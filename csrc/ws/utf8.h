/* UTF-8 as RFC 3629 has it, checked as the bytes arrive (RFC 6455 8.1): an error is seen at the
 * first byte that cannot be right, wherever the stream was cut. Pure. */
#ifndef DOP_WS_UTF8_H
#define DOP_WS_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define DOP_UTF8_START 0u         /* also: what came so far is complete */
#define DOP_UTF8_BAD   UINT32_MAX /* stays so */

/* The state after `len` more bytes. Runs of ASCII are passed eight bytes at a time. */
uint32_t dop_utf8_check(uint32_t state, const char *data, size_t len);

#endif
