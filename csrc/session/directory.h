/* The directory: from a token to the node that holds its session.
 *
 * A chained hash table with a keyed hash; the links lie in the nodes, so an entry costs one pointer
 * of table. Owns the table, neither nodes nor tokens.
 */
#ifndef DOP_SESSION_DIRECTORY_H
#define DOP_SESSION_DIRECTORY_H

#include "session/token.h"

struct dop_node;

struct dop_directory {
  struct dop_node **table;
  uint32_t mask; /* size - 1; size is 0 or a power of two */
  uint32_t count;
  uint8_t key[16];
};

/* The node with exactly these bytes as its token, NULL when there is none. */
struct dop_node *dop_directory_find(const struct dop_directory *d, const char *text, size_t len);

/* Enters `node` under node->token, which must not be there yet. -1 without memory. */
int dop_directory_add(struct dop_directory *d, struct dop_node *node);

/* Takes out this very node; another that holds the same key would stay. Does nothing when the node
 * is not in. */
void dop_directory_remove(struct dop_directory *d, struct dop_node *node);

void dop_directory_dispose(struct dop_directory *d);

#endif
