/* A title as games are written: plain C against devices, and SDL 2. Each role prints what it finds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/joystick.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENT "/dev/input/event77"
#define JS "/dev/input/js0"
#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            printf("FAIL line %d: %s (errno %d)\n", __LINE__, #what, errno);                                 \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static int is_pad(int fd) {
    char name[64] = "";
    return ioctl(fd, EVIOCGNAME(sizeof name), name) == 24 && !strcmp(name, "Microsoft X-Box 360 pad");
}

static void files(void) {
    struct stat st, js;
    CHECK(stat(EVENT, &st) == 0 && S_ISCHR(st.st_mode));
    CHECK(lstat(JS, &js) == 0 && S_ISCHR(js.st_mode) && js.st_rdev != st.st_rdev);
    struct statx stx;
    CHECK(statx(AT_FDCWD, EVENT, 0, STATX_ALL, &stx) == 0 && S_ISCHR(stx.stx_mode) && stx.stx_rdev_major == 13);
    CHECK(access(EVENT, R_OK | W_OK) == 0 && access("/run/host/container-manager", F_OK) == 0);
    errno = 0;
    CHECK(open("/dev/input/event78", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(open("/dev/input/event7", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(stat("/dev/input/js1", &st) == -1 && errno == ENOENT);

    int listed = 0;
    DIR *dir = opendir("/dev/input");
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        listed += entry->d_name[0] != '.';
    CHECK(listed == 2);
    int fd = openat(dirfd(dir), "event77", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    CHECK(fd >= 0 && is_pad(fd) && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
    char byte[24];
    CHECK(read(fd, byte, sizeof byte) == -1 && errno == EAGAIN);
    CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
    CHECK(ioctl(fd, JSIOCGVERSION, byte) == -1 && errno == EINVAL);
    closedir(dir);

    int copy = fcntl(fd, F_DUPFD, 100);
    CHECK(copy >= 100 && is_pad(copy));
    CHECK(dup2(copy, 50) == 50 && dup3(copy, 51, O_CLOEXEC) == 51);
    CHECK(close(fd) == 0 && close(copy) == 0 && is_pad(50) && is_pad(51));
    int other = open("/dev/null", O_RDONLY);
    CHECK(other >= 0 && dup2(other, 51) == 51 && !is_pad(51) && errno == ENOTTY);
    pid_t pid = fork();
    if (pid == 0)
        _exit(is_pad(50) ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(50), close(51);
    CHECK(ioctl(50, EVIOCGVERSION, &status) == -1 && errno == EBADF);

    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && !is_pad(pair[0]) && errno == ENOTTY);
    CHECK(fstat(pair[0], &st) == 0 && S_ISSOCK(st.st_mode));
    FILE *file = fopen(EVENT, "rb");
    CHECK(file && is_pad(fileno(file)) && fclose(file) == 0);
    for (int i = 0; i < 200; i++) {
        fd = open(EVENT, O_RDONLY);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    puts("ok");
}

static void effects(void) {
    int fd = open(EVENT, O_RDWR), count = 0;
    CHECK(fd >= 0 && ioctl(fd, EVIOCGEFFECTS, &count) == 0 && count == 16);
    struct ff_effect effect = {.type = FF_RUMBLE, .id = -1};
    for (int i = 0; i < 16; i++) {
        effect.id = -1;
        CHECK(ioctl(fd, EVIOCSFF, &effect) == 0 && effect.id == i);
    }
    effect.id = -1;
    CHECK(ioctl(fd, EVIOCSFF, &effect) == -1 && errno == ENOSPC);
    CHECK(ioctl(fd, EVIOCRMFF, 7) == 0 && ioctl(fd, EVIOCRMFF, 7) == -1 && errno == EINVAL);
    effect.type = FF_SPRING;
    CHECK(ioctl(fd, EVIOCSFF, &effect) == -1 && errno == EINVAL);
    effect.type = FF_PERIODIC;
    effect.u.periodic.magnitude = -0x4000;
    effect.replay.length = 5000;
    CHECK(ioctl(fd, EVIOCSFF, &effect) == 0 && effect.id == 7);
    struct input_event play = {.type = EV_FF, .code = 7, .value = 1};
    CHECK(write(fd, &play, sizeof play) == sizeof play);
    puts("playing");
    fflush(stdout);
    getchar();
    close(fd);
    puts("closed");
    fflush(stdout);
    getchar();
}

static void joystick(void) {
    int fd = open(JS, O_RDONLY);
    CHECK(fd >= 0);
    int version = 0;
    unsigned char axes = 0, buttons = 0, axis_map[ABS_CNT];
    uint16_t button_map[KEY_MAX - BTN_MISC + 1];
    char name[128];
    CHECK(ioctl(fd, JSIOCGVERSION, &version) == 0 && version == 0x020100);
    CHECK(ioctl(fd, JSIOCGAXES, &axes) == 0 && axes == 8 && ioctl(fd, JSIOCGBUTTONS, &buttons) == 0);
    CHECK(ioctl(fd, JSIOCGNAME(sizeof name), name) > 0 && !strcmp(name, "Microsoft X-Box 360 pad"));
    CHECK(ioctl(fd, JSIOCGAXMAP, axis_map) >= 0 && axis_map[6] == ABS_HAT0X);
    CHECK(ioctl(fd, JSIOCGBTNMAP, button_map) >= 0 && button_map[0] == BTN_A && button_map[10] == BTN_THUMBR);
    struct js_event event;
    while (read(fd, &event, sizeof event) == sizeof event) {
        printf("%s %d %d\n", event.type == 0x81 ? "init-button" : event.type == 0x82 ? "init-axis"
                                : event.type == 1 ? "button" : "axis", event.number, event.value);
        fflush(stdout);
    }
}

/* Reads nothing until told to, then says how everything ended. */
static void overload(void) {
    int fd = open(EVENT, O_RDONLY), dropped = 0, value[2] = {0, 0};
    CHECK(fd >= 0);
    puts("ready");
    fflush(stdout);
    getchar();
    struct input_event event;
    struct pollfd wait = {fd, POLLIN, 0};
    /* The last state holds Y; every other one does not. */
    while (value[1] != 1 && poll(&wait, 1, 5000) == 1 && read(fd, &event, sizeof event) == sizeof event) {
        dropped += event.type == EV_SYN && event.code == SYN_DROPPED;
        if (event.type == EV_ABS && event.code == ABS_X)
            value[0] = event.value;
        if (event.type == EV_KEY && event.code == BTN_Y)
            value[1] = event.value;
    }
    while (poll(&wait, 1, 0) == 1 && read(fd, &event, sizeof event) == sizeof event)
        if (event.type == EV_ABS && event.code == ABS_X)
            value[0] = event.value;
    printf("dropped %d x %d y-button %d\n", dropped > 0, value[0], value[1]);
}

static void flood(void) {
    int fd = open(EVENT, O_RDWR);
    CHECK(fd >= 0);
    struct input_event event = {.type = EV_FF, .code = 3, .value = 1};
    signal(SIGPIPE, SIG_IGN);
    while (write(fd, &event, sizeof event) == sizeof event)
        continue;
    puts("closed");
    int fds[64], opened = 0;
    for (int i = 0; i < 64; i++)
        opened += (fds[i] = open(EVENT, O_RDONLY)) >= 0;
    CHECK(opened >= 16 && opened <= 32);
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    puts("ok");
}

static void latency(void) {
    int fd = open(EVENT, O_RDONLY);
    CHECK(fd >= 0);
    puts("ready");
    fflush(stdout);
    struct input_event event;
    while (read(fd, &event, sizeof event) == sizeof event) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (event.type != EV_SYN)
            continue;
        printf("%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
        fflush(stdout);
    }
}

static void sdl(void) {
    void *lib = dlopen("libSDL2-2.0.so.0", RTLD_NOW);
    if (!lib)
        printf("FAIL %s: install libsdl2-2.0-0\n", dlerror()), exit(1);
#define F(type, name, ...) type (*name)(__VA_ARGS__) = (type (*)(__VA_ARGS__))dlsym(lib, #name); CHECK(name)
    F(int, SDL_Init, uint32_t);
    F(int, SDL_PollEvent, void *);
    F(void *, SDL_GameControllerOpen, int);
    F(const char *, SDL_GameControllerName, void *);
    F(int, SDL_GameControllerRumble, void *, uint16_t, uint16_t, uint32_t);
    F(int, SDL_IsGameController, int);
    CHECK(SDL_Init(0x2000 | 0x200) == 0);
    void *pads[8] = {0};
    union {
        uint32_t type;
        struct { uint32_t type, time; int32_t which; uint8_t index, state; } button;
        struct { uint32_t type, time; int32_t which; uint8_t axis, pad[3]; int16_t value; } axis;
        char room[128];
    } event;
    for (;;) {
        while (SDL_PollEvent(&event)) {
            if (event.type == 0x653 && event.button.which < 8) {
                int which = event.button.which;
                CHECK(SDL_IsGameController(which) && (pads[which] = SDL_GameControllerOpen(which)));
                printf("added %d %s\n", which, SDL_GameControllerName(pads[which]));
            } else if (event.type == 0x651 || event.type == 0x652) {
                printf("button %d %d %d\n", event.button.which, event.button.index, event.button.state);
                if (event.button.index == 0 && event.button.state)
                    printf("rumble %d\n", SDL_GameControllerRumble(pads[event.button.which], 40000, 20000, 300));
            } else if (event.type == 0x650) {
                printf("axis %d %d %d\n", event.axis.which, event.axis.axis, event.axis.value);
            }
            fflush(stdout);
        }
        usleep(2000);
    }
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(void); } roles[] = {
        {"files", files}, {"effects", effects}, {"joystick", joystick}, {"overload", overload},
        {"flood", flood}, {"latency", latency}, {"sdl", sdl}};
    for (size_t i = 0; argc == 2 && i < sizeof roles / sizeof roles[0]; i++)
        if (!strcmp(argv[1], roles[i].name))
            return roles[i].run(), 0;
    return 2;
}
