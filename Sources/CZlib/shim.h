#pragma once
#include <zlib.h>

// inflateInit2 is a macro, which Swift does not import. 15 is the largest window; 32 more: zlib's header or gzip's, whichever is there.
static inline int coppice_inflate_init(z_stream *stream) { return inflateInit2(stream, 15 + 32); }
