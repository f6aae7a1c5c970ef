#include "CTLSShims.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void ms_tls_prepare(struct ssl_ctx_st *context) {
    // Compression leaks, renegotiation costs the server more than the client; an end without close_notify is an end:
    // HTTP has its own lengths.
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    // A record and its header in one read; what comes with it is taken at once (TLSTransport.receive).
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // Sessions are resumed by tickets, which the client keeps: the cache would only cost locks and memory.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static int give_password(char *buffer, int size, int writing, void *password) {
    (void)writing;
    if (!password || size <= 0) return 0;
    size_t length = strlen(password);
    if (length > (size_t)size) return 0;
    memcpy(buffer, password, length);
    return (int)length;
}

int ms_tls_use_key(struct ssl_ctx_st *context, const char *path, const char *password) {
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)password);
    int done = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return done;
}

// OpenSSL's own socket BIO uses read and write, which go through the file layer and may raise SIGPIPE. And it reads as
// long as records come that carry nothing for the application: a client that sends nothing else would keep the thread.

struct channel {
    int socket;
    // How much more may be read in this turn, in bytes.
    int left;
};

// A whole record with its header: each turn gets on by at least one.
#define TURN_BYTES (17 << 10)

void ms_tls_begin_turn(struct ssl_st *session) {
    struct channel *channel = BIO_get_data(SSL_get_rbio(session));
    channel->left = TURN_BYTES;
}

static int receive_some(BIO *bio, char *buffer, int size) {
    struct channel *channel = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (channel->left <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t count = recv(channel->socket, buffer, (size_t)size, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (count > 0) channel->left -= (int)count;
    if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)count;
}

static int send_some(BIO *bio, const char *bytes, int size) {
    BIO_clear_retry_flags(bio);
    ssize_t count = send(((struct channel *)BIO_get_data(bio))->socket, bytes, (size_t)size, MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return (int)count;
}

static long control(BIO *bio, int command, long number, void *argument) {
    (void)number, (void)argument;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static int drop(BIO *bio) {
    free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

static BIO_METHOD *socket_method;

static void make_socket_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "socket");
    if (method && BIO_meth_set_read(method, receive_some) && BIO_meth_set_write(method, send_some) &&
        BIO_meth_set_ctrl(method, control) && BIO_meth_set_destroy(method, drop))
        socket_method = method;
}

int ms_tls_set_socket(struct ssl_st *session, int socket) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_socket_method);
    BIO *bio = socket_method ? BIO_new(socket_method) : NULL;
    if (!bio) return 0;
    struct channel *channel = malloc(sizeof *channel);
    if (!channel) {
        BIO_free(bio);
        return 0;
    }
    *channel = (struct channel){.socket = socket, .left = TURN_BYTES};
    BIO_set_data(bio, channel);
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio);
    return 1;
}
