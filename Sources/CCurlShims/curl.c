#include "CCurlShims.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

CURLcode ms_curl_setopt_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

CURLcode ms_curl_setopt_string(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

CURLcode ms_curl_setopt_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

CURLcode ms_curl_setopt_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}

CURLcode ms_curl_setopt_write(CURL *handle, CURLoption option, ms_curl_write_callback callback) {
    return curl_easy_setopt(handle, option, callback);
}

CURLcode ms_curl_setopt_seek(CURL *handle, CURLoption option, ms_curl_seek_callback callback) {
    return curl_easy_setopt(handle, option, callback);
}

CURLcode ms_curl_getinfo_long(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}

CURLcode ms_curl_getinfo_pointer(CURL *handle, CURLINFO info, void **value) {
    return curl_easy_getinfo(handle, info, value);
}

CURLMcode ms_curl_multi_setopt_long(CURLM *handle, CURLMoption option, long value) {
    return curl_multi_setopt(handle, option, value);
}

// The two limits travel in the context pointer itself: there is nothing to allocate and nothing to free.
static int set_tcp_limits(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)purpose;
    uint64_t limits = (uint64_t)(uintptr_t)context;
    unsigned timeout = (unsigned)limits;
    int count = (int)(limits >> 32);
    if (timeout) setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    if (count) setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    return CURL_SOCKOPT_OK;
}

_Static_assert(sizeof(void *) == 8, "the limits are carried in a pointer");

CURLcode ms_curl_setopt_tcp_limits(CURL *handle, uint32_t user_timeout_ms, uint32_t keepalive_count) {
    uint64_t limits = (uint64_t)keepalive_count << 32 | user_timeout_ms;
    CURLcode code = curl_easy_setopt(handle, CURLOPT_SOCKOPTDATA, (void *)(uintptr_t)limits);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, set_tcp_limits);
}
