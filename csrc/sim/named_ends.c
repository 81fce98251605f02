#include "sim/named.h"
const struct named named_ends[] = {{0}};
