// What the guardian needs of the kernel and Swift cannot reach: variadic functions, calls behind _GNU_SOURCE, and the
// stretch between fork and exec. Apart from CPlatform so that the guardian links nothing but the C library.
#ifndef MATRIARCH_CGUARDIAN_H
#define MATRIARCH_CGUARDIAN_H

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>

// Forks and executes a child of the calling thread, in a session of its own. When the caller dies the kernel sends
// `death_signal` to the child (0: nothing). Standard descriptors are inherited, all others are closed, signals are as
// at the start of a program, and the OOM score is what it was before `gd_protect`. Returns 0 and sets *pid, or an errno
// value; an exec that fails is told too.
int gd_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd, int death_signal, pid_t *pid);

// prctl(PR_SET_CHILD_SUBREAPER): orphans below us become our children. prctl is variadic.
int gd_become_reaper(void);

// Best effort: memory stays resident (mlockall, where the limit allows), and the kernel's OOM killer prefers others.
void gd_protect(void);

// pidfd_open(2): no wrapper in glibc 2.36.
int gd_pidfd_open(pid_t pid);

// pidfd_send_signal(2) with SIGKILL: never another process that has got the number since.
int gd_pidfd_kill(int pidfd);

// accept4 with close-on-exec and non-blocking; behind _GNU_SOURCE.
int gd_accept(int fd);

// SO_PEERCRED: struct ucred stands behind _GNU_SOURCE. Returns 0, or -1 with errno.
int gd_peer(int fd, uid_t *uid, pid_t *pid);

// A SOCK_SEQPACKET address family socket, close-on-exec; the type is an enumeration that Swift shows differently.
int gd_socket(void);

// bind(2) or connect(2) to a path; -1 with errno (ENAMETOOLONG where the path does not fit).
int gd_bind(int fd, const char *path);
int gd_connect(int fd, const char *path);

// open(2) is variadic.
int gd_open(const char *path, int flags, mode_t mode);

#endif
