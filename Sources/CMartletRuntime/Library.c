#define _GNU_SOURCE
#include "Library.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void append(martlet_library *library, const char *format, ...) {
  size_t used = strlen(library->message);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(library->message + used, sizeof library->message - used, format, arguments);
  va_end(arguments);
}

int martlet_library_path(void *handle, char *path, size_t capacity) {
  char resolved[PATH_MAX];
  struct link_map *map = NULL;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || !map || !map->l_name[0]) return 0;
  snprintf(path, capacity, "%s", realpath(map->l_name, resolved) ? resolved : map->l_name);
  return 1;
}

static void find_path(martlet_library *library, const char *asked) {
  char resolved[PATH_MAX];
  if (martlet_library_path(library->handle, library->path, sizeof library->path)) return;
  snprintf(library->path, sizeof library->path, "%s", realpath(asked, resolved) ? resolved : asked);
}

int martlet_library_open(
  martlet_library *library, const char *purpose, const char *variable, const char *const *candidates) {
  memset(library, 0, sizeof *library);
  const char *chosen = variable ? getenv(variable) : NULL;
  const char *only[] = {chosen, NULL};
  if (chosen && chosen[0]) candidates = only;

  for (int i = 0; candidates[i]; i++) {
    library->handle = dlopen(candidates[i], RTLD_LAZY | RTLD_LOCAL);
    if (library->handle) {
      find_path(library, candidates[i]);
      library->message[0] = 0;
      append(library, "%s: %s", purpose, library->path);
      return 1;
    }
    const char *error = dlerror();
    if (i == 0) append(library, "%s: not found", purpose);
    append(library, "; %s", error ? error : candidates[i]);
  }
  if (candidates == only) append(library, " (%s says to load this one only)", variable);
  return 0;
}

void *martlet_library_find(const martlet_library *library, const char *name) {
  return library->handle ? dlsym(library->handle, name) : NULL;
}

void *martlet_library_symbol(martlet_library *library, const char *name) {
  void *address = martlet_library_find(library, name);
  if (!address) append(library, "; it has no function %s", name);
  return address;
}

void martlet_library_reject(martlet_library *library, const char *reason) {
  append(library, "; %s", reason);
  if (library->handle) dlclose(library->handle);
  library->handle = NULL;
}
