/* An HTTP proxy beside the scenes, see proxy.c. */
#ifndef FAILMALLOC_PROXY_H
#define FAILMALLOC_PROXY_H

/* Its port of 127.0.0.1, -1 without one. To be called once; it goes with the process. */
int proxy_start(void);

#endif
