#define _GNU_SOURCE
#include "NVRTC.h"

#include "Library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static martlet_library library;
static martlet_nvrtc nvrtc;

static const char *const candidates[] = {
  "libnvrtc.so.13", "libnvrtc.so.12", "/usr/local/cuda/lib64/libnvrtc.so.13", "/usr/local/cuda/lib64/libnvrtc.so.12",
  NULL};

/// NVRTC loads a second library by its bare name when it first compiles. One beside it is loaded here, so that it is found
/// whether or not that folder is on the loader's path.
static void load_neighbour(void) {
  char folder[sizeof library.path], path[sizeof library.path + 300];
  snprintf(folder, sizeof folder, "%s", library.path);
  char *end = strrchr(folder, '/');
  if (!end) return;
  *end = 0;
  DIR *entries = opendir(folder);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strncmp(entry->d_name, "libnvrtc-builtins.so", 20)) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (dlopen(path, RTLD_LAZY | RTLD_GLOBAL)) break;
  }
  closedir(entries);
}

static int find_functions(void) {
  int missing = 0;
#define F(name, parameters) \
  if (!(nvrtc.name = (int(*) parameters)martlet_library_symbol(&library, "nvrtc" #name))) missing++;
  MARTLET_NVRTC_FUNCTIONS(F)
#undef F
  nvrtc.GetErrorString = (const char *(*)(int))martlet_library_symbol(&library, "nvrtcGetErrorString");
  return missing == 0 && nvrtc.GetErrorString;
}

static void load(void) {
  martlet_library_open(&library, "CUDA code generation by NVRTC", "MARTLET_NVRTC", candidates);
  if (library.handle && find_functions() && nvrtc.Version(&nvrtc.major, &nvrtc.minor) == 0) {
    if (nvrtc.major == 12 || nvrtc.major == 13) {
      load_neighbour();
      nvrtc.available = 1;
    } else {
      char reason[80];
      snprintf(reason, sizeof reason, "it is version %d.%d, not 12 or 13", nvrtc.major, nvrtc.minor);
      martlet_library_reject(&library, reason);
    }
  }
  nvrtc.message = library.message;
  nvrtc.path = library.path;
}

const martlet_nvrtc *martlet_nvrtc_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return &nvrtc;
}
