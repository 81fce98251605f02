#include "sim/named.h"
const struct named named_resume[] = {{0}};
