/// Shared libraries that are loaded at run time, and what came of it.
#ifndef MARTLET_LIBRARY_H
#define MARTLET_LIBRARY_H

#include <stddef.h>

/// A shared library, found or not.
typedef struct {
  /// From `dlopen`; NULL if no candidate could be loaded.
  void *handle;
  /// The file that was loaded, symbolic links resolved; empty if none was.
  char path[512];
  /// One readable sentence: what was loaded, or what was looked for and why each candidate failed.
  char message[2048];
} martlet_library;

/// Loads the first of `candidates` (paths or sonames, ended by NULL) that can be loaded, with `RTLD_LAZY | RTLD_LOCAL`.
///
/// If the environment variable `variable` is set, its value is the only candidate. `purpose` names the library in
/// the message. Returns 1, or 0 if nothing could be loaded.
int martlet_library_open(
  martlet_library *library, const char *purpose, const char *variable, const char *const *candidates);

/// The file of a handle from `dlopen`, symbolic links resolved; 0 if it cannot be told.
int martlet_library_path(void *handle, char *path, size_t capacity);

/// The address of `name`, or NULL.
void *martlet_library_find(const martlet_library *library, const char *name);

/// The address of `name`, or NULL; a missing name is added to the message.
void *martlet_library_symbol(martlet_library *library, const char *name);

/// Unloads the library, and says why in the message.
void martlet_library_reject(martlet_library *library, const char *reason);

#endif
