#define _GNU_SOURCE
#include "NVRTC.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// NVRTC loads a second library by its bare name. One beside it is loaded here, so that it is found whether or not that
/// folder is on the loader's path.
static void load_neighbour(void *function) {
  Dl_info information;
  char folder[PATH_MAX], path[PATH_MAX + 300];
  if (!dladdr(function, &information) || !information.dli_fname || !realpath(information.dli_fname, folder)) return;
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

const char *martlet_nvrtc_find(void *handle, martlet_nvrtc *nvrtc) {
#define F(name, parameters) \
  if (!(nvrtc->name = (int(*) parameters)dlsym(handle, "nvrtc" #name))) return "nvrtc" #name;
  MARTLET_NVRTC_FUNCTIONS(F)
#undef F
  nvrtc->GetErrorString = (const char *(*)(int))dlsym(handle, "nvrtcGetErrorString");
  if (!nvrtc->GetErrorString) return "nvrtcGetErrorString";
  load_neighbour((void *)nvrtc->CompileProgram);
  return NULL;
}
