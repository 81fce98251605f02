/* Addresses for people; see address.h. */
#include "uv/address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <uv.h>

void dop_address_format(const struct sockaddr *address, char out[DOP_ADDRESS_MAX]) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    uv_ip4_name(in, host, sizeof host);
    snprintf(out, DOP_ADDRESS_MAX, "%s:%u", host, ntohs(in->sin_port));
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    uv_ip6_name(in6, host, sizeof host);
    snprintf(out, DOP_ADDRESS_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
  } else {
    snprintf(out, DOP_ADDRESS_MAX, "?");
  }
}
