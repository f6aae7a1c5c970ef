#include "CTLSShims.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int look_at_hello(SSL *session, int *alert, void *argument);
static void note_record(int written, int version, int type, const void *bytes, size_t length, SSL *session,
                        void *argument);

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
    SSL_CTX_set_client_hello_cb(context, look_at_hello, NULL);
    SSL_CTX_set_msg_callback(context, note_record);
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
    enum ms_tls_stage stage;
    int wary;
    // The records after the handshake that carried nothing for the application.
    int empty_handed;
};

static struct channel *channel_of(SSL *session) { return BIO_get_data(SSL_get_rbio(session)); }

// A whole record with its header: each turn gets on by at least one.
#define TURN_BYTES (17 << 10)

void ms_tls_begin_turn(struct ssl_st *session) {
    channel_of(session)->left = TURN_BYTES;
}

enum ms_tls_stage ms_tls_stage(struct ssl_st *session) { return channel_of(session)->stage; }

void ms_tls_be_wary(struct ssl_st *session, int wary) { channel_of(session)->wary = wary; }

// Whether the extension's list of 16-bit numbers, which stands behind `skip` bytes of length, has `wanted`. In the list
// of key shares each number is followed by that many bytes and their count.
static int has_number(const unsigned char *list, size_t length, size_t skip, unsigned wanted, int shares) {
    for (size_t at = skip; at + 2 <= length; at += 2) {
        if ((unsigned)(list[at] << 8 | list[at + 1]) == wanted) return 1;
        if (!shares) continue;
        if (at + 4 > length) return 0;
        at += 2 + (size_t)(list[at + 2] << 8 | list[at + 3]);
    }
    return 0;
}

// A group that the client knows and has sent no key of; 0 for none, also where it does not speak TLS 1.3.
static int group_to_ask_for(SSL *session) {
    static const struct {
        unsigned number;
        int name;
    } groups[] = {{23, NID_X9_62_prime256v1}, {29, NID_X25519}, {24, NID_secp384r1}};
    const unsigned char *versions, *known, *shares;
    size_t version_bytes, known_bytes, share_bytes;
    if (!SSL_client_hello_get0_ext(session, TLSEXT_TYPE_supported_versions, &versions, &version_bytes)) return 0;
    if (!SSL_client_hello_get0_ext(session, TLSEXT_TYPE_supported_groups, &known, &known_bytes)) return 0;
    if (!SSL_client_hello_get0_ext(session, TLSEXT_TYPE_key_share, &shares, &share_bytes)) return 0;
    if (!has_number(versions, version_bytes, 1, TLS1_3_VERSION, 0)) return 0;
    for (size_t index = 0; index < sizeof groups / sizeof *groups; index++)
        if (has_number(known, known_bytes, 2, groups[index].number, 0) &&
            !has_number(shares, share_bytes, 2, groups[index].number, 1))
            return groups[index].name;
    return 0;
}

static int look_at_hello(SSL *session, int *alert, void *argument) {
    (void)alert, (void)argument;
    struct channel *channel = channel_of(session);
    int group = channel->wary && channel->stage == MS_TLS_FIRST ? group_to_ask_for(session) : 0;
    if (group && SSL_set1_groups(session, &group, 1) == 1) {
        channel->stage = MS_TLS_ASKED_AGAIN;
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    channel->stage = channel->wary ? MS_TLS_PUT_OFF : MS_TLS_SPENT;
    return channel->wary ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

// New keys cost ten times what a request does, and a turn's bytes ask for them hundreds of times. Clients that mean it
// renew theirs after gigabytes.
#define EMPTY_HANDED_MAX 32

// Called for each record before it is looked at. Once there were too many that are no application data (TLS 1.3 tells
// of the type that is inside), what comes is thrown away, and the reading ends as if the client had ended.
static void note_record(int written, int version, int type, const void *bytes, size_t length, SSL *session,
                        void *argument) {
    (void)version, (void)argument;
    if (written || length == 0 || (type != SSL3_RT_HEADER && type != SSL3_RT_INNER_CONTENT_TYPE)) return;
    if (*(const unsigned char *)bytes == SSL3_RT_APPLICATION_DATA || !SSL_is_init_finished(session)) return;
    struct channel *channel = channel_of(session);
    if (++channel->empty_handed > EMPTY_HANDED_MAX)
        SSL_set_shutdown(session, SSL_get_shutdown(session) | SSL_RECEIVED_SHUTDOWN);
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

int ms_pending_input(int socket, int *count) { return ioctl(socket, FIONREAD, count); }
