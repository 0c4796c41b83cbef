/*
 * Preloaded into a title: makes the Unix sockets at /dev/input/event77..80 and js0..3 answer as evdev and
 * joystick devices. src/shim/ has the other end and says what goes over a socket.
 *
 * It keeps no list of files. A descriptor is a pad when the name its peer was bound by says so
 * (getpeername), which holds for copies, after fork and exec, and in other processes that were handed it.
 * So close, dup, fork, poll, select, epoll, read and write need no help: each datagram is one event, and
 * what a title writes are force feedback events. Opening, ioctl and the stat family are interposed.
 *
 * Nothing here allocates, locks or logs; errno changes only where the real call would change it. The
 * library runs with the title's own rights: nothing it does is trusted by the other end.
 *
 * 64-bit only (struct input_event has 24 bytes).
 */
#include "node.h"
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The other end answers within a thread's wake; past this it is gone. */
#define OPEN_PATIENCE_MS 2000

/* Which node a name such as "event77" is. */
static struct node node_named(const char *name) {
    if (name[0] == 'j' && name[1] == 's' && name[2] >= '0' && name[2] < '0' + PADS && !name[3])
        return (struct node){JOYSTICK, name[2] - '0'};
    if (strncmp(name, "event", 5) == 0) {
        for (int pad = 0; pad < PADS; pad++) {
            int number = FIRST_EVENT + pad;
            if (name[5] == '0' + number / 10 && name[6] == '0' + number % 10 && !name[7])
                return (struct node){EVENT, pad};
        }
    }
    return nothing;
}

struct node node_of(int fd) {
    int saved = errno;
    /* One byte more than the kernel writes, so that the name always ends. */
    union {
        struct sockaddr_un un;
        char bytes[sizeof(struct sockaddr_un) + 1];
    } peer;
    memset(&peer, 0, sizeof peer);
    socklen_t len = sizeof peer.un;
    struct node node = nothing;
    if (getpeername(fd, (struct sockaddr *)&peer.un, &len) == 0 && peer.un.sun_family == AF_UNIX) {
        const char *path = peer.bytes + offsetof(struct sockaddr_un, sun_path);
        const char *slash = strrchr(path, '/');
        if (slash && strncmp(slash + 1, BOUND_NAME, sizeof BOUND_NAME - 1) == 0)
            node = node_named(slash + sizeof BOUND_NAME);
    }
    errno = saved;
    return node;
}

int real_stat(int dir, const char *path, struct stat *st, int flags) {
    REAL(fstatat);
    if (!real_fstatat) {
        errno = ENOSYS;
        return -1;
    }
    return real_fstatat(dir, path, st, flags);
}

/* Cheap for all others: only the last part of a name is looked at. */
struct node node_at(int dir, const char *path) {
    if (!path)
        return nothing;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct node node = node_named(name);
    if (node.kind == NOTHING)
        return nothing;
    int saved = errno;
    char wanted[] = "/dev/input/event00";
    size_t prefix = sizeof "/dev/input/" - 1;
    memcpy(wanted + prefix, name, strlen(name) + 1);
    struct stat there, device;
    bool same = real_stat(AT_FDCWD, wanted, &device, 0) == 0 && S_ISSOCK(device.st_mode) &&
                (strcmp(path, wanted) == 0 ||
                 (real_stat(dir, path, &there, 0) == 0 && there.st_dev == device.st_dev &&
                  there.st_ino == device.st_ino));
    errno = saved;
    return same ? node : nothing;
}

/* Milliseconds of a clock that only goes forward. */
static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the other end serves this connection: from then on no change is missed. */
static bool served(int fd) {
    int64_t deadline = now_ms() + OPEN_PATIENCE_MS;
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        int64_t left = deadline - now_ms();
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        char byte;
        return ready > 0 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
    }
}

static int open_node(struct node node, int flags) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (node.kind == EVENT)
        snprintf(address.sun_path, sizeof address.sun_path, "/dev/input/event%d", FIRST_EVENT + node.pad);
    else
        snprintf(address.sun_path, sizeof address.sun_path, "/dev/input/js%d", node.pad);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), 0);
    if (fd < 0)
        return -1;
    int done;
    do
        done = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (done != 0 && errno == EINTR);
    if (done != 0 || !served(fd) || (flags & O_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
        close(fd);
        errno = ENODEV;
        return -1;
    }
    return fd;
}

/* The mode argument is there only when a file may be made. */
#define MODE_OF(flags, mode)                                                                                 \
    mode_t mode = 0;                                                                                         \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                         \
        va_list list;                                                                                        \
        va_start(list, flags);                                                                               \
        mode = va_arg(list, mode_t);                                                                         \
        va_end(list);                                                                                        \
    }

#define OPEN(name)                                                                                           \
    EXPORT int name(const char *path, int flags, ...) {                                                      \
        MODE_OF(flags, mode)                                                                                 \
        struct node node = flags & O_PATH ? nothing : node_at(AT_FDCWD, path);                               \
        if (node.kind != NOTHING)                                                                            \
            return open_node(node, flags);                                                                   \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return real_##name(path, flags, mode);                                                               \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                         \
    EXPORT int name(int dir, const char *path, int flags, ...) {                                             \
        MODE_OF(flags, mode)                                                                                 \
        struct node node = flags & O_PATH ? nothing : node_at(dir, path);                                    \
        if (node.kind != NOTHING)                                                                            \
            return open_node(node, flags);                                                                   \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return real_##name(dir, path, flags, mode);                                                          \
    }
OPENAT(openat)
OPENAT(openat64)

/* What programs built with _FORTIFY_SOURCE call. */
#define OPEN_2(name)                                                                                         \
    EXPORT int name(const char *path, int flags);                                                            \
    EXPORT int name(const char *path, int flags) {                                                           \
        struct node node = flags & O_PATH ? nothing : node_at(AT_FDCWD, path);                               \
        if (node.kind != NOTHING)                                                                            \
            return open_node(node, flags);                                                                   \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return real_##name(path, flags);                                                                     \
    }
OPEN_2(__open_2)
OPEN_2(__open64_2)

#define OPENAT_2(name)                                                                                       \
    EXPORT int name(int dir, const char *path, int flags);                                                   \
    EXPORT int name(int dir, const char *path, int flags) {                                                  \
        struct node node = flags & O_PATH ? nothing : node_at(dir, path);                                    \
        if (node.kind != NOTHING)                                                                            \
            return open_node(node, flags);                                                                   \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return real_##name(dir, path, flags);                                                                \
    }
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

#define FOPEN(name)                                                                                          \
    EXPORT FILE *name(const char *restrict path, const char *restrict mode) {                                \
        struct node node = node_at(AT_FDCWD, path);                                                          \
        if (node.kind != NOTHING) {                                                                          \
            int fd = open_node(node, strchr(mode, 'e') ? O_CLOEXEC : 0);                                     \
            FILE *file = fd < 0 ? NULL : fdopen(fd, mode);                                                   \
            if (!file && fd >= 0)                                                                            \
                close(fd);                                                                                   \
            return file;                                                                                     \
        }                                                                                                    \
        REAL(name);                                                                                          \
        if (!real_##name) {                                                                                  \
            errno = ENOSYS;                                                                                  \
            return NULL;                                                                                     \
        }                                                                                                    \
        return real_##name(path, mode);                                                                      \
    }
FOPEN(fopen)
FOPEN(fopen64)
