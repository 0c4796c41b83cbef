/* The stat family: a node is a character device of its own number. */
#include "node.h"
#include <sys/sysmacros.h>


static unsigned minor_of(struct node node) {
    return (unsigned)(node.kind == EVENT ? 256 + FIRST_EVENT + node.pad : node.pad);
}

/* struct stat and struct stat64 are one on 64-bit. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one struct stat");
static int as_device(int result, struct node node, struct stat *st) {
    if (result == 0 && node.kind != NOTHING) {
        st->st_mode = S_IFCHR | 0666;
        st->st_rdev = makedev(13, minor_of(node));
        st->st_size = 0;
    }
    return result;
}
static int path_stat(int result, int dir, const char *path, struct stat *st) {
    return result == 0 && S_ISSOCK(st->st_mode) ? as_device(result, node_at(dir, path), st) : result;
}
static int file_stat(int result, int fd, struct stat *st) {
    return result == 0 && S_ISSOCK(st->st_mode) ? as_device(result, node_of(fd), st) : result;
}

#define STAT(name, type)                                                                                     \
    EXPORT int name(const char *restrict path, struct type *restrict st) {                                   \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return path_stat(real_##name(path, st), AT_FDCWD, path, (struct stat *)st);                          \
    }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)

#define FSTAT(name, type)                                                                                    \
    EXPORT int name(int fd, struct type *st) {                                                               \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return file_stat(real_##name(fd, st), fd, (struct stat *)st);                                        \
    }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

#define FSTATAT(name, type)                                                                                  \
    EXPORT int name(int dir, const char *restrict path, struct type *restrict st, int flags) {               \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        int result = real_##name(dir, path, st, flags);                                                      \
        if (flags & AT_EMPTY_PATH && path && !*path)                                                         \
            return file_stat(result, dir, (struct stat *)st);                                                \
        return path_stat(result, dir, path, (struct stat *)st);                                              \
    }
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)

/* Programs built against a C library before 2.33 call these. */
#define XSTAT(name, type)                                                                                    \
    EXPORT int name(int version, const char *path, struct type *st);                                         \
    EXPORT int name(int version, const char *path, struct type *st) {                                        \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return path_stat(real_##name(version, path, st), AT_FDCWD, path, (struct stat *)st);                 \
    }
XSTAT(__xstat, stat)
XSTAT(__xstat64, stat64)
XSTAT(__lxstat, stat)
XSTAT(__lxstat64, stat64)

#define FXSTAT(name, type)                                                                                   \
    EXPORT int name(int version, int fd, struct type *st);                                                   \
    EXPORT int name(int version, int fd, struct type *st) {                                                  \
        REAL(name);                                                                                          \
        MISSING(real_##name)                                                                                 \
        return file_stat(real_##name(version, fd, st), fd, (struct stat *)st);                               \
    }
FXSTAT(__fxstat, stat)
FXSTAT(__fxstat64, stat64)

EXPORT int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict st) {
    REAL(statx);
    MISSING(real_statx)
    int result = real_statx(dir, path, flags, mask, st);
    if (result == 0 && S_ISSOCK(st->stx_mode)) {
        bool file = flags & AT_EMPTY_PATH && (!path || !*path);
        struct node node = file ? node_of(dir) : node_at(dir, path);
        if (node.kind != NOTHING) {
            st->stx_mode = S_IFCHR | 0666;
            st->stx_rdev_major = 13;
            st->stx_rdev_minor = minor_of(node);
        }
    }
    return result;
}

