#include "sim/named.h"
const struct named named_client[] = {{0}};
