/* Token to node; see directory.h. Never frees a node. */
#include "session/directory.h"

#include "session/node.h"

static struct dop_node **bucket(const struct dop_directory *d, uint64_t hash) {
  return &d->table[hash & d->mask];
}

struct dop_node *dop_directory_find(const struct dop_directory *d, const char *text, size_t len) {
  if (!d->count) return NULL;
  uint64_t hash = dop_siphash(d->key, text, len);
  for (struct dop_node *n = *bucket(d, hash); n; n = n->hash_next)
    if (n->hash == (uint32_t)hash && dop_token_is(n->token, text, len)) return n;
  return NULL;
}

/* Doubles the table when it is full. The low 32 bits of the hash are kept in the node, which is
 * more than any table here has places. */
static int grow(struct dop_directory *d) {
  uint32_t size = d->table ? d->mask + 1 : 0;
  if (d->count < size) return 0;
  struct dop_directory bigger = *d;
  bigger.mask = size ? 2 * size - 1 : 15;
  bigger.table = dop_zalloc((bigger.mask + (size_t)1) * sizeof *bigger.table);
  if (!bigger.table) return -1;
  for (uint32_t i = 0; i < size; i++) {
    for (struct dop_node *n = d->table[i], *next; n; n = next) {
      next = n->hash_next;
      struct dop_node **place = bucket(&bigger, n->hash);
      n->hash_next = *place;
      *place = n;
    }
  }
  dop_free(d->table);
  *d = bigger;
  return 0;
}

int dop_directory_add(struct dop_directory *d, struct dop_node *node) {
  if (grow(d)) return -1;
  node->hash = (uint32_t)dop_siphash(d->key, node->token->text, node->token->len);
  struct dop_node **place = bucket(d, node->hash);
  node->hash_next = *place;
  *place = node;
  d->count++;
  return 0;
}

void dop_directory_remove(struct dop_directory *d, struct dop_node *node) {
  if (!d->count) return;
  for (struct dop_node **p = bucket(d, node->hash); *p; p = &(*p)->hash_next) {
    if (*p != node) continue;
    *p = node->hash_next;
    node->hash_next = NULL;
    d->count--;
    return;
  }
}

void dop_directory_dispose(struct dop_directory *d) {
  dop_free(d->table);
  d->table = NULL;
  d->mask = d->count = 0;
}
