/* Preloaded into a real bridge: while a file exists, a write to a terminal does not return, as with a dead USB adapter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

ssize_t write(int handle, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    const char *name = getenv("HANGING_TTY");
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    while (name && isatty(handle) && access(name, F_OK) == 0) usleep(20000);
    return real(handle, bytes, count);
}
