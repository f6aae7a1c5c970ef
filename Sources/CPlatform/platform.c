#define _GNU_SOURCE 1
#include "CPlatform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int ms_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    return accept4(fd, address, length, flags);
}

int ms_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int ms_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

int ms_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int ms_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

uint32_t ms_watchdog_options(int fd) {
    struct watchdog_info info = {0};
    return ioctl(fd, WDIOC_GETSUPPORT, &info) == 0 ? info.options : 0;
}

int ms_watchdog_timeout(int fd) {
    int seconds = 0;
    return ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 ? seconds : -1;
}

int ms_watchdog_set_timeout(int fd, int seconds) { return ioctl(fd, WDIOC_SETTIMEOUT, &seconds); }

void ms_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

static int caught_signals = -1;

static void catch_signal(int signal) {
    int error = errno;
    unsigned char byte = (unsigned char)signal;
    // A full pipe holds thousands of signals that nobody has read: one more tells nothing.
    ssize_t written = write(caught_signals, &byte, 1);
    (void)written;
    errno = error;
}

int ms_catch_signals(const int signals[], int count) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return -1;
    fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    caught_signals = pipes[1];
    struct sigaction action = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    for (int i = 0; i < count; i++) {
        if (sigaction(signals[i], &action, NULL) != 0) return -1;
    }
    return pipes[0];
}

static void write_all(int fd, const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0) {
            if (errno == EINTR) continue;
            return;
        }
        at += n;
        length -= (size_t)n;
    }
}

static ssize_t read_all(int fd, void *data, size_t length) {
    char *at = data;
    size_t got = 0;
    while (got < length) {
        ssize_t n = read(fd, at + got, length - got);
        if (n < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

// What comes back through the pipe: 'p' with the pid of the grandchild, 'e' with the errno of what failed. Each is
// written whole (smaller than PIPE_BUF), in either order.
struct report {
    int kind;
    int value;
};

enum { most_fds = 8 };

void ms_reset_signals(void) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &plain, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void ms_close_others(int first, int report) {
    if (report > first) syscall(SYS_close_range, (unsigned)first, (unsigned)report - 1, 0u);
    syscall(SYS_close_range, (unsigned)report + 1, ~0u, 0u);
}

// Runs between fork and exec: async-signal-safe calls only. `report` is above most_fds.
static void become(const char *path, char *const argv[], char *const envp[], const char *cwd, const int *fds, int count,
                   int report) {
    ms_reset_signals();
    if (cwd && chdir(cwd) != 0) goto failed;
    // Out of each other's way first: one may have the number that another is to get.
    int moved[most_fds];
    for (int i = 0; i < count; i++) {
        int fd = fds[i];
        if (fd < 0 && i < 3) fd = open("/dev/null", i == 0 ? O_RDONLY : O_WRONLY);
        if (fd < 0 && i < 3) goto failed;
        moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, most_fds + 1);
        if (fd >= 0 && moved[i] < 0) goto failed;
    }
    for (int i = 0; i < count; i++) {
        if (moved[i] < 0) {
            close(i);
        } else if (dup2(moved[i], i) < 0) {
            goto failed;
        }
    }
    // The report pipe is close-on-exec: its end of file tells the parent that exec succeeded.
    ms_close_others(count, report);
    execve(path, argv, envp);
failed:;
    struct report message = {.kind = 'e', .value = errno};
    write_all(report, &message, sizeof message);
    _exit(127);
}

int ms_spawn_detached(const char *path, char *const argv[], char *const envp[], const char *cwd, const int stdio[3],
                      pid_t *pid) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return errno;
    // The first descriptors are about to be replaced: the report must not live there.
    int report = fcntl(pipes[1], F_DUPFD_CLOEXEC, most_fds + 1);
    if (report < 0) {
        int error = errno;
        close(pipes[0]);
        close(pipes[1]);
        return error;
    }
    close(pipes[1]);

    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t middle = fork();
    if (middle == 0) {
        setsid();
        pid_t child = fork();
        if (child == 0) become(path, argv, envp, cwd, stdio, 3, report);
        struct report message = {.kind = child < 0 ? 'e' : 'p', .value = child < 0 ? errno : child};
        write_all(report, &message, sizeof message);
        _exit(0);
    }
    int error = middle < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report);
    if (error) {
        close(pipes[0]);
        return error;
    }
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
    }
    // End of file comes when exec has closed the pipe, or when the grandchild has given up.
    struct report messages[2];
    ssize_t got = read_all(pipes[0], messages, sizeof messages);
    close(pipes[0]);
    int found = 0;
    for (size_t i = 0; got > 0 && i < (size_t)got / sizeof messages[0]; i++) {
        if (messages[i].kind == 'e') return messages[i].value;
        found = messages[i].value;
    }
    if (found <= 0) return EIO;
    *pid = found;
    return 0;
}

int ms_spawn_child(const char *path, char *const argv[], char *const envp[], const int *fds, int count, pid_t *pid) {
    if (count > most_fds) return EINVAL;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return errno;
    int report = fcntl(pipes[1], F_DUPFD_CLOEXEC, most_fds + 1);
    int error = errno;
    close(pipes[1]);
    if (report < 0) {
        close(pipes[0]);
        return error;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    error = errno;
    if (child == 0) {
        setsid();
        become(path, argv, envp, NULL, fds, count, report);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report);
    struct report message = {0};
    ssize_t got = child < 0 ? 0 : read_all(pipes[0], &message, sizeof message);
    close(pipes[0]);
    if (child < 0) return error;
    if (got > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        return got == sizeof message && message.value ? message.value : EIO;
    }
    *pid = child;
    return 0;
}
