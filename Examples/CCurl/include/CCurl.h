// Sends a mail by libcurl, which is loaded at the first call: a child that sends none does not pay for it.
#pragma once
#include <stddef.h>

struct smtp_mail {
    const char *url; // smtp://HOST:PORT or smtps://HOST:PORT
    const char *user, *password; // NULL: no login
    const char *from, *to;
    const char *message; // headers and body, lines ended by CR LF
    size_t message_length;
    long timeout_seconds;
};

// NULL when the mail was accepted, else why not: a text that the caller frees.
char *smtp_send(const struct smtp_mail *mail);
