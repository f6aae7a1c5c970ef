// What the guardian's own family does: the process that watches it, the one that writes its log, and the one that holds
// a helper of the daemon's. Each has one thread and needs nothing but the kernel.
#define _GNU_SOURCE 1
#include "CGuardian.h"
#include "CPlatform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void pause_ms(int ms) { poll(NULL, 0, ms); }

// MARK: Killing what is below us

// The name of a process, and its parent, from /proc/PID/stat: the name stands in parentheses and may hold any character.
static int look_up(const char *entry, char name[64], pid_t *parent) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", entry);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, text, sizeof text - 1);
    close(fd);
    if (count <= 0) return -1;
    text[count] = 0;
    char *begin = strchr(text, '('), *end = strrchr(text, ')');
    char state;
    int found;
    if (!begin || !end || end < begin || sscanf(end + 1, " %c %d", &state, &found) != 2) return -1;
    snprintf(name, 64, "%.*s", (int)(end - begin - 1), begin + 1);
    *parent = found;
    return 0;
}

// A daemon that the guardian has started, or a process of its own family, whose names these are.
static int is_ours(const char *name) {
    return !strncmp(name, "matriarch", 9) || !strncmp(name, "guardian-", 9);
}

// SIGKILL for our children; how many there were. Theirs become ours when they have ended, and come next.
static int kill_children(int spares_ours) {
    DIR *directory = opendir("/proc");
    if (!directory) return 0;
    pid_t self = getpid(), parent;
    struct dirent *entry;
    char name[64];
    int count = 0;
    while ((entry = readdir(directory))) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || look_up(entry->d_name, name, &parent) != 0 || parent != self) continue;
        if (spares_ours && is_ours(name)) continue;
        kill(pid, SIGKILL);
        count++;
    }
    closedir(directory);
    return count;
}

static void collect(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

// Whoever looks for the guardian by the name of its program must find that one alone. `name` is the memory of argv[0].
static void call_ourselves(char *name, const char *title) {
    char *last = strrchr(name, '/');
    last = last ? last + 1 : name;
    size_t length = strlen(last);
    memset(last, 0, length);
    strncpy(last, title, length);
}

// MARK: The watcher

static void watch(pid_t guardian, const char *directory) {
    prctl(PR_SET_NAME, "guardian-watch");
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    // Neither the log nor whoever waits for the guardian's first word is to wait for us.
    syscall(SYS_close_range, 0u, ~0u, 0u);
    gd_lock_memory();
    int status = 0;
    while (waitpid(guardian, &status, 0) < 0 && errno == EINTR) {
    }
    // The kernel has sent SIGQUIT to the postmaster: a moment for it to end by itself. One whose own log is stuck never
    // comes to it, and one that was killed too leaves backends that nobody has told anything.
    if (WIFSIGNALED(status)) pause_ms(100);
    for (collect(); kill_children(1) > 0; collect()) pause_ms(5);
    if (directory) {
        char path[4096];
        const char *const files[] = {"socket", "lock"};
        for (int i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%s/%s", directory, files[i]);
            unlink(path);
        }
        rmdir(directory);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int gd_leave_watcher(char *name, const char *directory) {
    if (gd_become_reaper() != 0) return -1;
    pid_t guardian = fork();
    if (guardian <= 0) return guardian;
    call_ourselves(name, "matriarch-watcher");
    watch(guardian, directory);
    return -1;
}

// MARK: The log

static int log_pipe = -1;
static unsigned long dropped_lines;

static void limit_rest(int signal) {
    (void)signal;
    alarm(2);
}

// What is written here may wait for ever. When the guardian has ended, two seconds are left for the rest.
static void write_log(int from, pid_t guardian) {
    prctl(PR_SET_NAME, "guardian-log");
    signal(SIGUSR1, limit_rest);
    signal(SIGALRM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
    if (getppid() != guardian) alarm(2);
    if (dup2(from, 0) < 0) _exit(1);
    close(1);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    if (chdir("/") != 0) _exit(1);
    char bytes[4096];
    while (1) {
        ssize_t count = read(0, bytes, sizeof bytes);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) _exit(0);
        for (ssize_t at = 0; at < count;) {
            ssize_t written = write(2, bytes + at, (size_t)(count - at));
            if (written > 0) {
                at += written;
            } else if (errno == EAGAIN) {
                // Somebody has made the description that we share non-blocking.
                struct pollfd wanted = {.fd = 2, .events = POLLOUT};
                poll(&wanted, 1, 1000);
            } else if (errno != EINTR) {
                break;
            }
        }
    }
}

int gd_start_log_writer(char *name) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return -1;
    pid_t guardian = getpid();
    pid_t writer = fork();
    if (writer == 0) {
        call_ourselves(name, "matriarch-logger");
        write_log(pipes[0], guardian);
    }
    int error = errno;
    close(pipes[0]);
    if (writer < 0) {
        close(pipes[1]);
        errno = error;
        return -1;
    }
    fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    if (log_pipe >= 0) close(log_pipe);
    log_pipe = pipes[1];
    return 0;
}

// Up to PIPE_BUF bytes are written whole or not at all.
static int put(const char *bytes, size_t length) {
    return log_pipe >= 0 && write(log_pipe, bytes, length > 4096 ? 4096 : length) > 0;
}

void gd_log(const char *line, size_t length) {
    if (dropped_lines) {
        char text[128];
        int count = snprintf(text, sizeof text, "matriarch-guardian[%d]: %lu lines of the log were lost\n", getpid(),
                             dropped_lines);
        if (put(text, (size_t)count)) dropped_lines = 0;
    }
    if (dropped_lines || !put(line, length)) dropped_lines++;
}

// MARK: A helper of the daemon's

static volatile sig_atomic_t is_asked_to_end;

static void ask_to_end(int signal) {
    (void)signal;
    is_asked_to_end = 1;
}

static void wake(int signal) { (void)signal; }

static void become_helper(char *const argv[], pid_t holder) {
    ms_reset_signals();
    setsid();
    // This process has one thread: it ends when the process does.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != holder) _exit(127);
    int empty = open("/dev/null", O_RDONLY);
    if (empty < 0 || dup2(empty, 0) < 0) _exit(127);
    if (empty > 3) close(empty);
    execvp(argv[0], argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int gd_run_helper(char *const argv[]) {
    prctl(PR_SET_NAME, "guardian-helper");
    sigset_t watched, before;
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    struct sigaction ending = {.sa_handler = ask_to_end}, child = {.sa_handler = wake};
    sigaction(SIGTERM, &ending, NULL);
    sigaction(SIGCHLD, &child, NULL);
    if (gd_become_reaper() != 0) return 126;
    pid_t holder = getpid(), program = fork();
    if (program < 0) return 126;
    if (program == 0) become_helper(argv, holder);
    int64_t kill_at = 0;
    int result = 128 + SIGKILL, is_running = 1;
    struct pollfd life = {.fd = 0, .events = POLLIN};
    while (is_running) {
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended != program) continue;
            is_running = 0;
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (!is_running) break;
        if (is_asked_to_end && !kill_at) {
            kill(-program, SIGTERM);
            kill_at = now_ms() + 3000;
        }
        if (kill_at && now_ms() >= kill_at) break;
        struct timespec pause = {.tv_nsec = 100000000};
        // Nothing is ever written there: it becomes readable when the daemon has ended.
        if (ppoll(&life, 1, kill_at ? &pause : NULL, &before) > 0) break;
    }
    if (is_running) kill(-program, SIGKILL);
    // Also what the program has left in sessions of its own. What hangs in the kernel holds us, and the lock with us.
    while (1) {
        collect();
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) return result;
        kill_children(0);
        pause_ms(5);
    }
}
