// What Swift's C importer cannot reach of libcurl: variadic functions and callbacks.
#ifndef MATRIARCH_CCURLSHIMS_H
#define MATRIARCH_CCURLSHIMS_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

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
CURLcode ms_curl_getinfo_pointer(CURL *handle, CURLINFO info, void **value);
CURLMcode ms_curl_multi_setopt_long(CURLM *handle, CURLMoption option, long value);

// TCP_USER_TIMEOUT and TCP_KEEPCNT for the handle's new connections: curl has no option for them, only a callback, and
// a callback that sets socket options is simplest in C. Zero leaves the kernel's value.
CURLcode ms_curl_setopt_tcp_limits(CURL *handle, uint32_t user_timeout_ms, uint32_t keepalive_count);

#endif
