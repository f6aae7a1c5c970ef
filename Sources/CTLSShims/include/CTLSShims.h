// What Swift's C importer cannot reach of OpenSSL: macros of 64 bits, callbacks, a BIO of our own.
#ifndef MATRIARCH_CTLSSHIMS_H
#define MATRIARCH_CTLSSHIMS_H

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

/// Where a handshake stands in what it costs the server.
enum ms_tls_stage {
    /// The client's first message has not been looked at.
    MS_TLS_FIRST,
    /// It was, while the server was wary, and the answer, which costs a signature, is put off.
    MS_TLS_PUT_OFF,
    /// The client was asked to begin again, which costs next to nothing; what it says then costs a signature.
    MS_TLS_ASKED_AGAIN,
    /// The signature is spent.
    MS_TLS_SPENT,
};

enum ms_tls_stage ms_tls_stage(struct ssl_st *session);

/// Before each read of a handshake: whether only what is cheap is to be done. A wary server answers a first message with
/// a request to begin again with a key of another group (RFC 8446 §4.1.4), and where that is not possible not yet.
void ms_tls_be_wary(struct ssl_st *session, int wary);

/// How many bytes the socket has received that nobody has read. ioctl is variadic. 0 on success.
int ms_pending_input(int socket, int *count);

#endif
