/* ioctl: what evdev and joystick devices answer, and force feedback. */
#include "node.h"
#include <linux/input.h>
#include <linux/joystick.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct input_event) == 24, "only 64-bit programs are served");
_Static_assert(sizeof(struct js_event) == 8, "js_event has 8 bytes");

static const uint16_t keys[] = {BTN_A, BTN_B, BTN_X, BTN_Y, BTN_TL, BTN_TR, BTN_SELECT, BTN_START, BTN_MODE,
                                BTN_THUMBL, BTN_THUMBR};
static const uint16_t axes[] = {ABS_X, ABS_Y, ABS_Z, ABS_RX, ABS_RY, ABS_RZ, ABS_HAT0X, ABS_HAT0Y};
static const uint16_t feedback[] = {FF_RUMBLE, FF_PERIODIC, FF_SQUARE, FF_TRIANGLE, FF_SINE, FF_GAIN};
static const uint16_t types[] = {EV_SYN, EV_KEY, EV_ABS, EV_FF};
static const char pad_name[] = "Microsoft X-Box 360 pad";
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* One pad in the state file; 64 bytes apart. */
struct state {
    uint32_t keys;
    int32_t axes[COUNT(axes)];
};

/* What the library tells the other end; 20 bytes, which no number of events has. */
struct message {
    uint16_t op, id, strong, weak, length_ms, delay_ms;
    uint64_t zero __attribute__((packed, aligned(4)));
};
_Static_assert(sizeof(struct message) == 20, "src/shim/wire.rs reads 20 bytes");
enum { OP_UPLOAD = 1, OP_ERASE = 2, OP_CLOCK = 3 };

/* ---- Force feedback: which effect ids an open file has given out. ---- */

/* Files by socket inode, which the kernel does not use again soon; the oldest place is taken anew. */
#define FILES 64
static _Atomic uint64_t effect_files[FILES];
static _Atomic uint32_t effect_masks[FILES];
static _Atomic uint32_t effect_next;

/* The place of a file, NULL when it has none and none is to be made. */
static _Atomic uint32_t *effects_of(int fd, bool make) {
    struct stat st;
    if (real_stat(fd, "", &st, AT_EMPTY_PATH) != 0 || st.st_ino == 0)
        return NULL;
    for (int i = 0; i < FILES; i++)
        if (atomic_load(&effect_files[i]) == st.st_ino)
            return &effect_masks[i];
    if (!make)
        return NULL;
    uint32_t i = atomic_fetch_add(&effect_next, 1) % FILES;
    atomic_store(&effect_masks[i], 0);
    atomic_store(&effect_files[i], st.st_ino);
    return &effect_masks[i];
}

static bool tell(int fd, const struct message *message) {
    ssize_t sent;
    do
        sent = send(fd, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *message;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int upload(int fd, struct ff_effect *effect) {
    struct message message = {.op = OP_UPLOAD, .length_ms = effect->replay.length,
                              .delay_ms = effect->replay.delay};
    if (effect->type == FF_RUMBLE) {
        message.strong = effect->u.rumble.strong_magnitude;
        message.weak = effect->u.rumble.weak_magnitude;
    } else if (effect->type == FF_PERIODIC) {
        int level = effect->u.periodic.magnitude;
        level = level < 0 ? -level : level;
        message.strong = message.weak = (uint16_t)((level > 0x7fff ? 0x7fff : level) * 2);
    } else {
        return fail(EINVAL);
    }
    _Atomic uint32_t *mask = effects_of(fd, true);
    if (!mask)
        return fail(ENODEV);
    int id = effect->id;
    if (id == -1) {
        uint32_t taken = atomic_load(mask);
        do {
            for (id = 0; id < MAX_EFFECTS && taken >> id & 1; id++)
                continue;
            if (id == MAX_EFFECTS)
                return fail(ENOSPC);
        } while (!atomic_compare_exchange_weak(mask, &taken, taken | 1u << id));
    } else if (id < 0 || id >= MAX_EFFECTS || !(atomic_load(mask) >> id & 1)) {
        return fail(EINVAL);
    }
    message.id = (uint16_t)id;
    if (!tell(fd, &message)) {
        if (effect->id == -1)
            atomic_fetch_and(mask, ~(1u << id));
        return fail(ENODEV);
    }
    effect->id = (int16_t)id;
    return 0;
}

static int erase(int fd, long id) {
    _Atomic uint32_t *mask = effects_of(fd, false);
    if (!mask || id < 0 || id >= MAX_EFFECTS || !(atomic_load(mask) >> id & 1))
        return fail(EINVAL);
    struct message message = {.op = OP_ERASE, .id = (uint16_t)id};
    if (!tell(fd, &message))
        return fail(ENODEV);
    atomic_fetch_and(mask, ~(1u << id));
    return 0;
}

/* ---- ioctl ---- */

/* Copies at most `room` bytes out and says how many, as evdev does. */
static int give(void *to, size_t room, const void *from, size_t len) {
    size_t copied = len < room ? len : room;
    memcpy(to, from, copied);
    return (int)copied;
}

static int give_bits(void *to, size_t room, const uint16_t *codes, size_t count, size_t limit) {
    uint8_t bits[(KEY_CNT + 63) / 64 * 8] = {0};
    for (size_t i = 0; i < count; i++)
        bits[codes[i] / 8] |= (uint8_t)(1u << codes[i] % 8);
    return give(to, room, bits, (limit + 63) / 64 * 8);
}

/* How a pad stands now; all at rest when that cannot be read. */
static struct state state_of(int pad) {
    struct state state = {0};
    int saved = errno;
    REAL(open);
    int fd = real_open ? real_open(STATE_FILE, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        struct state read_state;
        if (pread(fd, &read_state, sizeof read_state, pad * 64) == (ssize_t)sizeof read_state)
            state = read_state;
        close(fd);
    }
    errno = saved;
    return state;
}

static int give_codes(int type, void *to, size_t room) {
    switch (type) {
    case 0: return give_bits(to, room, types, COUNT(types), EV_CNT);
    case EV_KEY: return give_bits(to, room, keys, COUNT(keys), KEY_CNT);
    case EV_ABS: return give_bits(to, room, axes, COUNT(axes), ABS_CNT);
    case EV_FF: return give_bits(to, room, feedback, COUNT(feedback), FF_CNT);
    case EV_REL: return give_bits(to, room, NULL, 0, REL_CNT);
    case EV_MSC: return give_bits(to, room, NULL, 0, MSC_CNT);
    case EV_LED: return give_bits(to, room, NULL, 0, LED_CNT);
    case EV_SND: return give_bits(to, room, NULL, 0, SND_CNT);
    case EV_SW: return give_bits(to, room, NULL, 0, SW_CNT);
    default: return fail(EINVAL);
    }
}

static int give_axis(int pad, unsigned code, void *to, size_t room) {
    for (size_t i = 0; i < COUNT(axes); i++) {
        if (axes[i] != code)
            continue;
        struct input_absinfo info = {.value = state_of(pad).axes[i]};
        if (code == ABS_Z || code == ABS_RZ) {
            info.maximum = 255;
        } else if (code == ABS_HAT0X || code == ABS_HAT0Y) {
            info.minimum = -1;
            info.maximum = 1;
        } else {
            info.minimum = -32768;
            info.maximum = 32767;
            info.fuzz = 16;
            info.flat = 128;
        }
        give(to, room, &info, sizeof info);
        return 0;
    }
    return fail(EINVAL);
}

static int give_keys(int pad, void *to, size_t room) {
    uint32_t down = state_of(pad).keys;
    uint16_t codes[COUNT(keys)];
    size_t count = 0;
    for (size_t i = 0; i < COUNT(keys); i++)
        if (down >> i & 1)
            codes[count++] = keys[i];
    return give_bits(to, room, codes, count, KEY_CNT);
}

static int set_clock(int fd, const int *clock) {
    if (*clock != CLOCK_REALTIME && *clock != CLOCK_MONOTONIC && *clock != CLOCK_BOOTTIME)
        return fail(EINVAL);
    struct message message = {.op = OP_CLOCK, .id = *clock != CLOCK_REALTIME};
    return tell(fd, &message) ? 0 : fail(ENODEV);
}

static int event_ioctl(int fd, int pad, unsigned long request, void *to) {
    static const struct input_id id = {BUS_USB, 0x045e, 0x028e, 0x0110};
    static const int version = EV_VERSION, effects = MAX_EFFECTS;
    size_t room = _IOC_SIZE(request);
    unsigned number = _IOC_NR(request);
    /* Those that carry a number rather than a place. */
    switch (request) {
    case EVIOCRMFF: return erase(fd, (int)(intptr_t)to);
    case EVIOCGRAB: return 0;
    case EVIOCREVOKE: return to ? fail(EINVAL) : shutdown(fd, SHUT_RDWR);
    default: break;
    }
    if (!to)
        return fail(EFAULT);
    switch (request) {
    case EVIOCGVERSION: return give(to, room, &version, sizeof version) * 0;
    case EVIOCGID: return give(to, room, &id, sizeof id) * 0;
    case EVIOCGEFFECTS: return give(to, room, &effects, sizeof effects) * 0;
    case EVIOCSFF: return upload(fd, to);
    case EVIOCSCLOCKID: return set_clock(fd, to);
    default: break;
    }
    if (!(_IOC_DIR(request) & _IOC_READ))
        return fail(EINVAL);
    if (number >= 0x40 && number < 0x40 + ABS_CNT)
        return give_axis(pad, number - 0x40, to, room);
    if (number >= 0x20 && number < 0x20 + EV_CNT)
        return give_codes((int)number - 0x20, to, room);
    switch (number) {
    case _IOC_NR(EVIOCGNAME(0)): return give(to, room, pad_name, sizeof pad_name);
    case _IOC_NR(EVIOCGPHYS(0)): {
        char place[] = "nearframe-0/input0";
        place[sizeof "nearframe-" - 1] = (char)('0' + pad);
        return give(to, room, place, sizeof place);
    }
    case _IOC_NR(EVIOCGUNIQ(0)): return fail(ENOENT);
    case _IOC_NR(EVIOCGPROP(0)): return give_bits(to, room, NULL, 0, INPUT_PROP_CNT);
    case _IOC_NR(EVIOCGKEY(0)): return give_keys(pad, to, room);
    case _IOC_NR(EVIOCGLED(0)): return give_bits(to, room, NULL, 0, LED_CNT);
    case _IOC_NR(EVIOCGSND(0)): return give_bits(to, room, NULL, 0, SND_CNT);
    case _IOC_NR(EVIOCGSW(0)): return give_bits(to, room, NULL, 0, SW_CNT);
    default: return fail(EINVAL);
    }
}

static int joystick_ioctl(unsigned long request, void *to) {
    static const uint32_t version = JS_VERSION;
    static const uint8_t axis_count = COUNT(axes), button_count = COUNT(keys);
    size_t room = _IOC_SIZE(request);
    if (!to)
        return fail(EFAULT);
    switch (_IOC_NR(request)) {
    case _IOC_NR(JSIOCGVERSION): return give(to, room, &version, sizeof version) * 0;
    case _IOC_NR(JSIOCGAXES): return give(to, room, &axis_count, 1) * 0;
    case _IOC_NR(JSIOCGBUTTONS): return give(to, room, &button_count, 1) * 0;
    case _IOC_NR(JSIOCGNAME(0)): return give(to, room, pad_name, sizeof pad_name);
    case _IOC_NR(JSIOCGAXMAP): {
        uint8_t map[ABS_CNT] = {0};
        for (size_t i = 0; i < COUNT(axes); i++)
            map[i] = (uint8_t)axes[i];
        return give(to, room, map, sizeof map);
    }
    case _IOC_NR(JSIOCGBTNMAP): {
        uint16_t map[KEY_MAX - BTN_MISC + 1] = {0};
        memcpy(map, keys, sizeof keys);
        return give(to, room, map, sizeof map);
    }
    case _IOC_NR(JSIOCGCORR):
        if (_IOC_DIR(request) != _IOC_READ)
            return fail(EINVAL);
        memset(to, 0, room < COUNT(axes) * sizeof(struct js_corr) ? room : COUNT(axes) * sizeof(struct js_corr));
        return 0;
    default: return fail(EINVAL);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    /* Some callers extend the sign of a 32-bit number. */
    unsigned long plain = (uint32_t)request;
    if (_IOC_TYPE(plain) == 'E' || _IOC_TYPE(plain) == 'j') {
        struct node node = node_of(fd);
        if (node.kind == EVENT && _IOC_TYPE(plain) == 'E')
            return event_ioctl(fd, node.pad, plain, argument);
        if (node.kind == JOYSTICK && _IOC_TYPE(plain) == 'j')
            return joystick_ioctl(plain, argument);
        if (node.kind != NOTHING)
            return fail(EINVAL);
    }
    REAL(ioctl);
    MISSING(real_ioctl)
    return real_ioctl(fd, request, argument);
}
