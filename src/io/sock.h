/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_SOCK_H
#define KV_IO_SOCK_H

/* Sockets: listening, connecting.  All are made close-on-exec and
 * non-blocking. */

#include <stdbool.h>

#include "kv_types.h"

#define SOCK_BACKLOG 4096 /* the kernel bounds it by net.core.somaxconn */
#define SOCK_TEXT_MAX 128 /* "[address%scope]:port" or a path, cut */

/* Listen on a numeric IPv4 or IPv6 address; port 0 takes a free one, see
 * sock_port.  TCP_NODELAY is set here because accepted sockets inherit it.
 * Without a log line, since the caller knows which option to blame: KV_EBUSY
 * the port is in use, KV_EACCESS not allowed, KV_ENOTFOUND no address of this
 * host, KV_EINVAL not an address. */
KV_CHECKED int sock_listen_tcp(const char *address, uint16_t port, int backlog,
    int *out);

/* Listen on a path (any length), mode 0600.  A socket that a dead process left
 * there is replaced; KV_EBUSY (no log line) when somebody answers on it,
 * KV_EEXIST when the path is something else. */
KV_CHECKED int sock_listen_unix(const char *path, int backlog, int *out);

/* Connect within timeout_ms, -1: without limit.  No log lines: KV_ETIMEOUT,
 * KV_ENOTFOUND (no such host, nobody at the path), KV_ECLOSED (refused),
 * KV_ESYSTEM with errno.
 * The host may be a name; its look-up is not covered by the timeout. */
KV_CHECKED int sock_connect_tcp(const char *host, uint16_t port, int timeout_ms,
    int *out);
KV_CHECKED int sock_connect_unix(const char *path, int timeout_ms, int *out);

/* The local port of a socket, 0 when it has none. */
uint16_t sock_port(int fd);

/* Who is at the other end, or which address a socket is bound to, as text:
 * "127.0.0.1:4050", "[::1]:4050", "unix:/path".  Returns its length. */
size_t sock_peer_text(int fd, char *to, size_t size);
size_t sock_local_text(int fd, char *to, size_t size);

/* Is the process at the other end of a unix socket one of this user's, or of
 * root's? */
bool sock_peer_is_ours(int fd);

/* Let the kernel ask after so many seconds of silence whether the other end is
 * still there, and end the connection when it is not. */
void sock_keep_alive(int fd, int seconds);

#endif
