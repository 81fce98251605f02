/* Addresses for people: "127.0.0.1:80", "[::1]:80". */
#ifndef DOP_UV_ADDRESS_H
#define DOP_UV_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#define DOP_ADDRESS_MAX 64

/* Writes the address into `out`, "?" for one of another family. */
void dop_address_format(const struct sockaddr *address, char out[DOP_ADDRESS_MAX]);

#endif
