/* What the targets of the two heads share: that a head is found wherever the stream is cut, and
 * that what was read says the same when it is written again. */
#ifndef DOP_FUZZ_HEAD_H
#define DOP_FUZZ_HEAD_H

#include "fuzz/fuzz.h"
#include "ws/upgrade.h"

/* The length of the head that begins the data, 0: there is none; the same for every cut. */
size_t fuzz_head_end(const char *data, size_t len);

/* That an accepted head is one by HTTP's own measure: lines that end in CRLF, no control bytes. */
void fuzz_head_clean(const char *data, size_t len);

/* That the head's fields lie inside the data, and are not too many. */
void fuzz_head_inside(const struct dop_head *head, const char *data, size_t len, unsigned most);

/* Appends "name: value" for each field, and the empty line. */
void fuzz_head_write(struct dop_bytes *out, const struct dop_head *head);

/* That two heads have equal fields. */
void fuzz_head_same(const struct dop_head *a, const struct dop_head *b);

void fuzz_append(struct dop_bytes *out, struct dop_span s);
void fuzz_append_text(struct dop_bytes *out, const char *text);

#endif
