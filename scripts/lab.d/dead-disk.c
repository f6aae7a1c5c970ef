// A disk that is dead for PostgreSQL alone: while the file exists that MATRIARCH_DEAD_DISK names, what writes or
// syncs a file waits in the kernel, as on a device that does not answer (state D; only SIGKILL ends it). Where the file
// has a path in it, what lies there is on a disk that is well, and the kernel has memory yet for what is written
// elsewhere: it is syncs alone that wait. Loaded by LD_PRELOAD; other programs than the server take no notice.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char *flag;

__attribute__((constructor)) static void begin(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return;
    path[length] = 0;
    const char *name = strrchr(path, '/'), *wanted = getenv("MATRIARCH_DEAD_DISK");
    // The server writes its title over its environment.
    if (name && wanted && strcmp(name, "/postgres") == 0)
        flag = strdup(wanted);
}

static int wait_for_disk(void *unused)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (access(flag, F_OK) == 0)
        usleep(20000);
    _exit(0);
}

static int is_taken(int file, int is_sync)
{
    char spared[1024], link[64], path[4096];
    int flags = open(flag, O_RDONLY | O_CLOEXEC);
    ssize_t wanted = flags < 0 ? -1 : read(flags, spared, sizeof spared);
    if (flags >= 0)
        close(flags);
    if (wanted > 0 && !is_sync)
        return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    return wanted > 0 && length > wanted && memcmp(path, spared, wanted) == 0;
}

// Whoever waits for a child that shares its memory waits as for a disk. No signal tells of that child's end, so that a
// postmaster does not take it for one of its own.
static void hang(int file, int is_sync)
{
    int before = errno;
    while (flag && access(flag, F_OK) == 0 && !is_taken(file, is_sync)) {
        char stack[32768] __attribute__((aligned(16)));
        int child = clone(wait_for_disk, stack + sizeof stack, CLONE_VM | CLONE_VFORK, NULL);
        if (child > 0)
            waitpid(child, NULL, __WCLONE);
        else
            usleep(20000);
    }
    errno = before;
}

#define NEXT(name) ({ static __typeof__(&name) next; if (!next) next = dlsym(RTLD_NEXT, #name); next; })
#define SYNC(name) (hang(file, 1), NEXT(name))
#define WRITE(name) (hang(file, 0), NEXT(name))

int fsync(int file) { return SYNC(fsync)(file); }
int fdatasync(int file) { return SYNC(fdatasync)(file); }
int sync_file_range(int file, off64_t from, off64_t length, unsigned flags)
{
    return SYNC(sync_file_range)(file, from, length, flags);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return WRITE(pwrite)(file, bytes, length, at); }
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    return WRITE(pwrite64)(file, bytes, length, at);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at)
{
    return WRITE(pwritev)(file, parts, count, at);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t at)
{
    return WRITE(pwritev64)(file, parts, count, at);
}
