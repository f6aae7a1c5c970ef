#include "CPlatform.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

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
