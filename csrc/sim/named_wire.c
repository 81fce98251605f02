#include "sim/named.h"
const struct named named_wire[] = {{0}};
