// What the guardian needs of the kernel and Swift cannot reach: variadic functions, calls behind _GNU_SOURCE, and the
// stretch between fork and exec. What the daemon needs too is in CPlatform; neither links more than the C library.
#ifndef MATRIARCH_CGUARDIAN_H
#define MATRIARCH_CGUARDIAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>

// Forks and executes a child of the calling thread, in a session of its own. When the caller dies the kernel sends
// `death_signal` to the child (0: nothing). Standard descriptors are inherited, all others are closed, signals are as
// at the start of a program, and the OOM score is what it was before `gd_lower_oom_score`. Returns 0 and sets *pid, or
// an errno value; an exec that fails is told too.
int gd_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd, int death_signal, pid_t *pid);

// prctl(PR_SET_CHILD_SUBREAPER): orphans below us become our children. prctl is variadic.
int gd_become_reaper(void);

// Best effort: the kernel's OOM killer prefers others.
void gd_lower_oom_score(void);

// Best effort: memory stays resident (mlockall, where the limit allows). A fork does not inherit it.
void gd_lock_memory(void);

// The dead man's handle: a timer of the kernel's that kills this process at an instant of CLOCK_BOOTTIME, in
// nanoseconds (0: never), unless it is moved before. It needs nothing of the process itself, which may be stopped or
// hang in a system call. -1 with errno where there is none.
int gd_make_dead_man(void);
void gd_set_dead_man(int64_t at);

// Lines go to standard error through a process of their own, which may wait there for as long as it likes: what does
// not fit into the pipe to it is dropped and counted. `name` is the memory of our argv[0], where it calls itself
// otherwise. Returns 0 or -1 with errno.
int gd_start_log_writer(char *name);
void gd_log(const char *line, size_t length);

// Goes on in a child; the calling process itself stays behind it and never returns. When the child has ended, whatever
// way, all that it leaves below it is killed, but for programs of ours: the kernel gives them to us, and the backends of
// a postmaster that was killed too look for nothing but a signal while they are busy. `name` is the memory of our
// argv[0], where the two differ from then on; `directory` is removed, with a socket and a lock in it, where it is not
// NULL. Returns 0 in the child, or -1 with errno.
int gd_leave_watcher(char *name, const char *directory);

// Runs a program that must not outlive the daemon, to its end; the status to exit with (128 and the signal's number
// where one ended it). Standard input is a pipe whose other end the daemon holds: when it closes, or at SIGTERM and
// 3 seconds more, the program and all below it are killed, and what it leaves below it when it ends is killed too.
// Descriptor 3, where it is open, is inherited by all of them. The program's own standard input is empty.
int gd_run_helper(char *const argv[]);

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

#endif
