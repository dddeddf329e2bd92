#pragma once
// OpenSSL 3 over memory BIOs: it never sees a socket. Below stand its macros, which Swift can't import.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static inline int coppice_ssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline int coppice_ssl_require_tls12(SSL_CTX *context) { return (int)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); }
static inline int coppice_err_library(unsigned long code) { return ERR_GET_LIB(code); }
static inline int coppice_err_reason(unsigned long code) { return ERR_GET_REASON(code); }

// A key file with a pass phrase must fail: OpenSSL would ask for it on the terminal.
static inline int coppice_no_pass_phrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1;
}
static inline void coppice_ssl_never_ask(SSL_CTX *context) { SSL_CTX_set_default_passwd_cb(context, coppice_no_pass_phrase); }
