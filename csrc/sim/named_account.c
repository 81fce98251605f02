#include "sim/named.h"
const struct named named_account[] = {{0}};
