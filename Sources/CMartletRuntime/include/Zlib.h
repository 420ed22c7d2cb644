/// Reading of gzip-compressed bytes by zlib, loaded at run time.
#ifndef MARTLET_ZLIB_H
#define MARTLET_ZLIB_H

#include <stddef.h>
#include <stdint.h>

/// For people: which zlib was loaded, or what was looked for and why that failed. MARTLET_ZLIB names a file to load.
const char *martlet_zlib_message(void);
/// Whether it was loaded.
int martlet_zlib_available(void);

typedef struct martlet_inflater_s martlet_inflater;

/// Starts to decompress `bytes` bytes in gzip or zlib format, of one or more members one after the other.
///
/// The input must live until the inflater is closed; nothing is allocated that depends on what it says. Returns NULL,
/// and one readable sentence in `message`, if zlib is missing.
martlet_inflater *martlet_inflater_open(const uint8_t *input, int64_t bytes, char *message, size_t capacity);

/// Writes the next bytes, at most `capacity` of them, and returns how many: fewer only at the end.
///
/// Returns -1 if the input is broken or ends too early; `martlet_inflater_error` says how.
int64_t martlet_inflater_read(martlet_inflater *inflater, uint8_t *output, int64_t capacity);

/// How the input is broken, and NULL while it is not.
const char *martlet_inflater_error(const martlet_inflater *inflater);
/// Bytes of the input that have been used.
int64_t martlet_inflater_position(const martlet_inflater *inflater);
void martlet_inflater_close(martlet_inflater *inflater);

#endif
