// What Swift's C importer cannot reach: variadic functions, function-like macros, and calls behind _GNU_SOURCE.
// One function per need; each says why it exists.
#ifndef MATRIARCH_CPLATFORM_H
#define MATRIARCH_CPLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>

// accept4: declared only under _GNU_SOURCE, which the importer does not define.
int ms_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

// pidfd_open(2): no wrapper in glibc 2.36 that the importer shows (syscall() is variadic).
int ms_pidfd_open(pid_t pid);

// open(2) is variadic in C; this is its fixed form.
int ms_open(const char *path, int flags, mode_t mode);

// renameat2(2) that replaces nothing: behind _GNU_SOURCE.
int ms_rename_new(const char *from, const char *to);

// pipe2(2) with close-on-exec: behind _GNU_SOURCE.
int ms_pipe(int ends[2]);

// pthread_setname_np(3) for the calling thread: needs _GNU_SOURCE.
void ms_name_thread(const char *name);

// Signals into a pipe: each that is caught writes its number as one byte; the read end is returned, or -1 with errno.
// A signal handler may run on any thread whose mask lets it, and a library may unmask signals on threads of its own: a
// handler works there, signalfd(2) does not. The handler itself makes one async-signal-safe call.
int ms_catch_signals(const int signals[], int count);

// A process that is nobody's child of ours: fork, setsid, fork, exec. The pid of the grandchild comes back through a
// pipe; an exec that fails comes back as its errno. Between fork and exec only async-signal-safe calls are made, signal
// masks and dispositions are reset, and every descriptor above 2 is closed.
// stdio[i] < 0 means /dev/null. Returns 0 and sets *pid, or an errno value.
int ms_spawn_detached(const char *path, char *const argv[], char *const envp[], const char *cwd, const int stdio[3],
                      pid_t *pid);

// A child of ours in a session of its own. `fds` are its descriptors 0 to count - 1 (-1: /dev/null, for 3 and more:
// closed); all others are closed. For signals, masks and errors as above.
int ms_spawn_child(const char *path, char *const argv[], char *const envp[], const int *fds, int count, pid_t *pid);

// The watchdog's ioctls (linux/watchdog.h): ioctl is variadic, its requests are macros. What the device can do, as
// WDIOF_ bits, 0 where it does not say; its timeout in seconds, -1 where it does not say.
uint32_t ms_watchdog_options(int fd);
int ms_watchdog_timeout(int fd);
int ms_watchdog_set_timeout(int fd, int seconds);

// For the stretch between fork and exec, async-signal-safe both. Signals are as at the start of a program: each has its
// default action, and none is blocked.
void ms_reset_signals(void);

// Closes every descriptor from `first` on but `report`, the close-on-exec end of a pipe through which the parent is told.
void ms_close_others(int first, int report);

#endif
