#define _GNU_SOURCE 1
#include "CGuardian.h"
#include "CPlatform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const oom_file = "/proc/self/oom_score_adj";
static char inherited_oom_score[16];
static ssize_t inherited_oom_length;

int gd_become_reaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void gd_lower_oom_score(void) {
    int fd = open(oom_file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    inherited_oom_length = read(fd, inherited_oom_score, sizeof inherited_oom_score);
    // Refused without CAP_SYS_RESOURCE: then the score stays as it is.
    if (lseek(fd, 0, SEEK_SET) != 0 || write(fd, "-900", 4) != 4) inherited_oom_length = 0;
    close(fd);
}

void gd_lock_memory(void) {
    struct rlimit limit;
    // Under a limit, memory that is still to come must not be locked: its allocation would fail.
    int future = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY ? MCL_FUTURE : 0;
    mlockall(MCL_CURRENT | MCL_ONFAULT | future);
}

int gd_pidfd_kill(int pidfd) { return (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); }

static timer_t dead_man;
static int has_dead_man;

int gd_make_dead_man(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    if (timer_create(CLOCK_BOOTTIME, &event, &dead_man) != 0) return -1;
    has_dead_man = 1;
    return 0;
}

void gd_set_dead_man(int64_t at) {
    if (!has_dead_man) return;
    struct itimerspec value = {.it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    timer_settime(dead_man, TIMER_ABSTIME, &value, NULL);
}

int gd_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int gd_peer(int fd, uid_t *uid, pid_t *pid) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
    *uid = peer.uid;
    *pid = peer.pid;
    return 0;
}

int gd_socket(void) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    // connect(2) would wait for ever for a place among those that a frozen guardian has not accepted yet.
    struct timeval limit = {.tv_sec = 1};
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static int fill(struct sockaddr_un *address, const char *path) {
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    return 0;
}

int gd_bind(int fd, const char *path) {
    struct sockaddr_un address;
    return fill(&address, path) == 0 ? bind(fd, (struct sockaddr *)&address, sizeof address) : -1;
}

int gd_connect(int fd, const char *path) {
    struct sockaddr_un address;
    return fill(&address, path) == 0 ? connect(fd, (struct sockaddr *)&address, sizeof address) : -1;
}

// Runs in the child, between fork and exec: async-signal-safe calls only.
static void become(const char *path, char *const argv[], char *const envp[], const char *cwd, int death_signal,
                   pid_t parent, int report) {
    ms_reset_signals();
    setsid();
    if (death_signal && prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0) goto failed;
    // The parent may have died before the call above: then nothing would ever be sent.
    if (getppid() != parent) _exit(127);
    if (inherited_oom_length > 0) {
        int fd = open(oom_file, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, inherited_oom_score, (size_t)inherited_oom_length) < 0) errno = 0;
        if (fd >= 0) close(fd);
    }
    if (cwd && chdir(cwd) != 0) goto failed;
    // The report pipe is close-on-exec: its end of file tells the parent that exec succeeded.
    ms_close_others(3, report);
    execve(path, argv, envp);
failed:;
    int error = errno;
    while (write(report, &error, sizeof error) < 0 && errno == EINTR) {
    }
    _exit(127);
}

int gd_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd, int death_signal, pid_t *pid) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return errno;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become(path, argv, envp, cwd, death_signal, parent, pipes[1]);
    int error = child < 0 ? errno : 0;
    close(pipes[1]);
    ssize_t got = 0;
    int told = 0;
    if (child > 0) {
        while ((got = read(pipes[0], &told, sizeof told)) < 0 && errno == EINTR) {
        }
    }
    close(pipes[0]);
    if (error) return error;
    if (got > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        return told ? told : EIO;
    }
    *pid = child;
    return 0;
}
