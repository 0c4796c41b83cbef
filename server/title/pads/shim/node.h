/* What the parts of the preload library share. pads.c says what it is. */
#ifndef NEARFRAME_PADS_NODE_H
#define NEARFRAME_PADS_NODE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define EXPORT __attribute__((visibility("default")))
#define STATE_FILE "/run/nearframe-pads/state"
#define BOUND_NAME "nearframe-pad-"
#define PADS 4
#define FIRST_EVENT 77
#define MAX_EFFECTS 16

enum kind { NOTHING, EVENT, JOYSTICK };
struct node {
    enum kind kind;
    int pad;
};
static const struct node nothing = {NOTHING, 0};

/* Which node a socket is connected to. Leaves errno as it was. */
struct node node_of(int fd);

/* Which node a path leads to. Leaves errno as it was. */
struct node node_at(int dir, const char *path);

/* fstatat without the disguise. */
int real_stat(int dir, const char *path, struct stat *st, int flags);

/* The next definition of a function: the C library's, or another preloaded library's. */
#define REAL(name)                                                                                           \
    static _Atomic(void *) found_##name;                                                                     \
    void *pointer_##name = atomic_load_explicit(&found_##name, memory_order_relaxed);                        \
    if (!pointer_##name) {                                                                                   \
        pointer_##name = dlsym(RTLD_NEXT, #name);                                                            \
        atomic_store_explicit(&found_##name, pointer_##name, memory_order_relaxed);                          \
    }                                                                                                        \
    __typeof__(&name) real_##name = (__typeof__(&name))pointer_##name

#define MISSING(real)                                                                                        \
    if (!(real)) {                                                                                           \
        errno = ENOSYS;                                                                                      \
        return -1;                                                                                           \
    }
#endif
