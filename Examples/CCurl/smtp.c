#define _GNU_SOURCE
#include "CCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// libcurl's own header is not needed to build: its interface has been stable for twenty years, and these numbers are part of it.
typedef void CURL;
typedef size_t (*callback)(char *buffer, size_t size, size_t count, void *user_data);
struct curl_slist;
enum {
    CURL_GLOBAL_DEFAULT = 3,
    CURLUSESSL_TRY = 1,
    CURLUSESSL_ALL = 3,
    CURLOPT_UPLOAD = 46,
    CURLOPT_TIMEOUT = 13,
    CURLOPT_NOSIGNAL = 99,
    CURLOPT_USE_SSL = 119,
    CURLOPT_URL = 10002,
    CURLOPT_READDATA = 10009,
    CURLOPT_ERRORBUFFER = 10010,
    CURLOPT_HEADERDATA = 10029,
    CURLOPT_USERNAME = 10173,
    CURLOPT_PASSWORD = 10174,
    CURLOPT_MAIL_FROM = 10186,
    CURLOPT_MAIL_RCPT = 10187,
    CURLOPT_READFUNCTION = 20012,
    CURLOPT_HEADERFUNCTION = 20079,
    CURL_ERROR_SIZE = 256,
};

static struct {
    int (*global_init)(long flags);
    CURL *(*easy_init)(void);
    int (*easy_setopt)(CURL *, int option, ...);
    int (*easy_perform)(CURL *);
    const char *(*easy_strerror)(int code);
    void (*easy_cleanup)(CURL *);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
    int usable;
} curl;

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    // dlsym's way of returning a function, as POSIX has it.
#define FIND(member, name) (*(void **)&curl.member = dlsym(library, name))
    curl.usable = FIND(global_init, "curl_global_init") && FIND(easy_init, "curl_easy_init") && FIND(easy_setopt, "curl_easy_setopt") &&
                  FIND(easy_perform, "curl_easy_perform") && FIND(easy_strerror, "curl_easy_strerror") &&
                  FIND(easy_cleanup, "curl_easy_cleanup") && FIND(slist_append, "curl_slist_append") &&
                  FIND(slist_free_all, "curl_slist_free_all") && curl.global_init(CURL_GLOBAL_DEFAULT) == 0;
#undef FIND
}

struct cursor {
    const char *next;
    size_t left;
};

static size_t feed(char *buffer, size_t size, size_t count, void *user_data) {
    struct cursor *cursor = user_data;
    size_t length = size * count < cursor->left ? size * count : cursor->left;
    memcpy(buffer, cursor->next, length);
    cursor->next += length;
    cursor->left -= length;
    return length;
}

// The last line that the server said, but for its farewell.
struct answer {
    char line[512];
};

static size_t hear(char *line, size_t size, size_t count, void *user_data) {
    struct answer *answer = user_data;
    size_t length = size * count;
    if (length >= 3 && memcmp(line, "221", 3) == 0) return length;
    size_t kept = 0;
    // What is printable: the text ends in logs.
    for (size_t i = 0; i < length && kept < sizeof answer->line - 1; i++)
        if ((unsigned char)line[i] >= ' ' && line[i] != 0x7F) answer->line[kept++] = line[i];
    answer->line[kept] = 0;
    return length;
}

// Why it failed: libcurl's reason, and the server's own words if it refused.
static char *explain(const char *reason, const struct answer *answer) {
    int refused = answer->line[0] == '4' || answer->line[0] == '5';
    char *text = NULL;
    if (!refused || asprintf(&text, "%s; the server said: %s", reason, answer->line) < 0) return strdup(reason);
    return text;
}

char *smtp_send(const struct smtp_mail *mail) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (!curl.usable) return strdup("libcurl.so.4 is missing: install it (on Debian: apt-get install libcurl4)");
    CURL *handle = curl.easy_init();
    if (!handle) return strdup("out of memory");
    char error[CURL_ERROR_SIZE] = "";
    struct answer answer = {""};
    struct cursor cursor = {mail->message, mail->message_length};
    struct curl_slist *recipients = curl.slist_append(NULL, mail->to);
    curl.easy_setopt(handle, CURLOPT_URL, mail->url);
    // A password is sent over TLS or not at all.
    curl.easy_setopt(handle, CURLOPT_USE_SSL, (long)(mail->user ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (mail->user) curl.easy_setopt(handle, CURLOPT_USERNAME, mail->user);
    if (mail->password) curl.easy_setopt(handle, CURLOPT_PASSWORD, mail->password);
    curl.easy_setopt(handle, CURLOPT_MAIL_FROM, mail->from);
    curl.easy_setopt(handle, CURLOPT_MAIL_RCPT, recipients);
    curl.easy_setopt(handle, CURLOPT_READFUNCTION, (callback)feed);
    curl.easy_setopt(handle, CURLOPT_READDATA, &cursor);
    curl.easy_setopt(handle, CURLOPT_HEADERFUNCTION, (callback)hear);
    curl.easy_setopt(handle, CURLOPT_HEADERDATA, &answer);
    curl.easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl.easy_setopt(handle, CURLOPT_TIMEOUT, mail->timeout_seconds);
    curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
    int code = curl.easy_perform(handle);
    char *why = code ? explain(*error ? error : curl.easy_strerror(code), &answer) : NULL;
    curl.slist_free_all(recipients);
    curl.easy_cleanup(handle);
    return why;
}
