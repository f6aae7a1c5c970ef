// What Swift's C importer cannot reach: variadic functions, function-like macros, and calls behind _GNU_SOURCE.
// One function per need; each says why it exists.
#ifndef MATRIARCH_CPLATFORM_H
#define MATRIARCH_CPLATFORM_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>

// accept4, pipe2: declared only under _GNU_SOURCE, which the importer does not define.
int ms_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int ms_pipe2(int fds[2], int flags);

// pidfd_open(2), pidfd_send_signal(2): no wrapper in glibc 2.36 that the importer shows (syscall() is variadic).
int ms_pidfd_open(pid_t pid);
int ms_pidfd_send_signal(int pidfd, int signal);

// open(2), fcntl(2) and ioctl-like calls are variadic in C; these are their fixed forms.
int ms_open(const char *path, int flags, mode_t mode);
int ms_fcntl_getfl(int fd);
int ms_fcntl_setfl(int fd, int flags);

// getrandom(2): not in the Glibc module.
ssize_t ms_getrandom(void *buffer, size_t length);

// pthread_setname_np(3) for the calling thread: needs _GNU_SOURCE.
void ms_name_thread(const char *name);

// Signals into a pipe: each that is caught writes its number as one byte; the read end is returned, or -1 with errno.
// A signal handler may run on any thread whose mask lets it, and a library may unmask signals on threads of its own: a
// handler works there, signalfd(2) does not. The handler itself makes one async-signal-safe call.
int ms_catch_signals(const int signals[], int count);

// wait status macros.
int ms_wait_exited(int status);
int ms_wait_exit_code(int status);
int ms_wait_signal(int status);

// A process that is nobody's child of ours: fork, setsid, fork, exec. The pid of the grandchild comes back through a
// pipe; an exec that fails comes back as its errno. Between fork and exec only async-signal-safe calls are made, signal
// masks and dispositions are reset, and every descriptor above 2 is closed.
// stdio[i] < 0 means /dev/null. Returns 0 and sets *pid, or an errno value.
int ms_spawn_detached(const char *path, char *const argv[], char *const envp[], const char *cwd, const int stdio[3],
                      pid_t *pid);

// curl_easy_setopt and curl_easy_getinfo are variadic: one function for each kind of argument.
typedef size_t (*ms_curl_write_callback)(char *data, size_t size, size_t count, void *context);
CURLcode ms_curl_setopt_long(CURL *handle, CURLoption option, long value);
CURLcode ms_curl_setopt_string(CURL *handle, CURLoption option, const char *value);
CURLcode ms_curl_setopt_pointer(CURL *handle, CURLoption option, void *value);
CURLcode ms_curl_setopt_list(CURL *handle, CURLoption option, struct curl_slist *value);
CURLcode ms_curl_setopt_write(CURL *handle, CURLoption option, ms_curl_write_callback callback);
typedef int (*ms_curl_seek_callback)(void *context, curl_off_t offset, int origin);
CURLcode ms_curl_setopt_seek(CURL *handle, CURLoption option, ms_curl_seek_callback callback);
CURLcode ms_curl_getinfo_long(CURL *handle, CURLINFO info, long *value);
CURLcode ms_curl_getinfo_string(CURL *handle, CURLINFO info, const char **value);
CURLcode ms_curl_getinfo_pointer(CURL *handle, CURLINFO info, void **value);
CURLMcode ms_curl_multi_setopt_long(CURLM *handle, CURLMoption option, long value);

// TCP_USER_TIMEOUT and TCP_KEEPCNT for the handle's new connections: curl has no option for them, only a callback, and
// a callback that sets socket options is simplest in C. Zero leaves the kernel's value.
CURLcode ms_curl_setopt_tcp_limits(CURL *handle, uint32_t user_timeout_ms, uint32_t keepalive_count);

// A server's SSL_CTX as every one of ours is: TLS 1.2 or later, no compression, no renegotiation, writes that may be
// partial and may move. Options and modes are macros, some of them of 64 bits.
struct ssl_ctx_st;
void ms_tls_prepare(struct ssl_ctx_st *context);

// Reads a private key. The password callback is C; without one OpenSSL would ask on the terminal. Returns 1 when done.
int ms_tls_use_key(struct ssl_ctx_st *context, const char *path, const char *password);

/// Has the session speak over the socket, which stays the caller's. Not SSL_set_fd: its reads and writes cost more and
/// raise SIGPIPE. 1 on success.
struct ssl_st;
int ms_tls_set_socket(struct ssl_st *session, int socket);

/// Before each read: so that what one client sends at once does not keep the thread, a turn takes one record's length
/// or a little more from the socket, and then reads as if there were no more.
void ms_tls_begin_turn(struct ssl_st *session);

#endif
