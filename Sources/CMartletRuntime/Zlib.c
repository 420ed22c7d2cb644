#include "Zlib.h"

#include "Library.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/// zlib's own struct, which has not changed since version 1.0.
typedef struct {
  const uint8_t *next_in;
  unsigned avail_in;
  unsigned long total_in;
  uint8_t *next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char *message;
  void *state;
  void *(*allocate)(void *, unsigned, unsigned);
  void (*release)(void *, void *);
  void *opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
} stream;

enum { no_flush = 0, ok = 0, stream_end = 1, buffer_error = -5, gzip_or_zlib_window = 15 + 32 };

/// zlib counts in 32 bits, so long buffers are handed over in pieces.
static const int64_t longest_piece = 1 << 30;

struct martlet_inflater_s {
  stream stream;
  const uint8_t *start;
  const uint8_t *end;
  int finished;
  char error[96];
};

static martlet_library library;
static int (*inflate_init)(stream *, int, const char *, int);
static int (*inflate_step)(stream *, int);
static int (*inflate_reset)(stream *);
static int (*inflate_end)(stream *);

static void load(void) {
  static const char *const candidates[] = {"libz.so.1", NULL};
  if (!martlet_library_open(&library, "decompression by zlib", "MARTLET_ZLIB", candidates)) return;
  inflate_init = (int (*)(stream *, int, const char *, int))martlet_library_symbol(&library, "inflateInit2_");
  inflate_step = (int (*)(stream *, int))martlet_library_symbol(&library, "inflate");
  inflate_reset = (int (*)(stream *))martlet_library_symbol(&library, "inflateReset");
  inflate_end = (int (*)(stream *))martlet_library_symbol(&library, "inflateEnd");
}

int martlet_zlib_available(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return inflate_init && inflate_step && inflate_reset && inflate_end;
}

const char *martlet_zlib_message(void) {
  martlet_zlib_available();
  return library.message;
}

martlet_inflater *martlet_inflater_open(const uint8_t *input, int64_t bytes, char *message, size_t capacity) {
  if (!martlet_zlib_available()) {
    snprintf(message, capacity, "%s", library.message);
    return NULL;
  }
  martlet_inflater *inflater = calloc(1, sizeof *inflater);
  if (inflater) {
    inflater->start = inflater->stream.next_in = input;
    inflater->end = input + bytes;
    // Any version that begins with the same digit fits, says zlib's manual.
    if (inflate_init(&inflater->stream, gzip_or_zlib_window, "1.2.0", (int)sizeof(stream)) == ok) return inflater;
    free(inflater);
  }
  snprintf(message, capacity, "not enough memory to decompress");
  return NULL;
}

static int64_t fail(martlet_inflater *inflater, const char *reason) {
  snprintf(inflater->error, sizeof inflater->error, "%s", reason);
  return -1;
}

int64_t martlet_inflater_read(martlet_inflater *inflater, uint8_t *output, int64_t capacity) {
  stream *z = &inflater->stream;
  int64_t written = 0;
  if (inflater->error[0]) return -1;
  while (written < capacity && !inflater->finished) {
    int64_t left = inflater->end - z->next_in, room = capacity - written;
    z->avail_in = (unsigned)(left < longest_piece ? left : longest_piece);
    z->avail_out = (unsigned)(room < longest_piece ? room : longest_piece);
    z->next_out = output + written;
    int status = inflate_step(z, no_flush);
    written = z->next_out - output;
    if (status == stream_end) {
      // Another member may follow; anything else after the end (padding, for example) is ignored as gzip does.
      int more = inflater->end - z->next_in > 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b;
      inflater->finished = !more || inflate_reset(z) != ok;
    } else if (status == buffer_error || (status == ok && z->next_in == inflater->end && z->avail_out > 0)) {
      return fail(inflater, "the compressed data ends too early");
    } else if (status != ok) {
      return fail(inflater, z->message ? z->message : "the compressed data is broken");
    }
  }
  return written;
}

const char *martlet_inflater_error(const martlet_inflater *inflater) {
  return inflater->error[0] ? inflater->error : NULL;
}

int64_t martlet_inflater_position(const martlet_inflater *inflater) {
  return inflater->stream.next_in - inflater->start;
}

void martlet_inflater_close(martlet_inflater *inflater) {
  if (!inflater) return;
  inflate_end(&inflater->stream);
  free(inflater);
}
