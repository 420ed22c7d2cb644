#include "DNNFunctions.h"
#include "Library.h"
#include "Team.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { cpu_engine = 1, default_stream = 1, openmp_runtime = 2 };

static martlet_library library;
static martlet_dnn dnn;
static dnn_functions functions;

static const char *const candidates[] = {"libdnnl.so.3", "libdnnl.so.2", NULL};

#define F(result, member, name, parameters) \
  if (!(functions.member = (result(*) parameters)martlet_library_symbol(&library, name))) return 0;
static int find_common(void) {
  DNN_COMMON_FUNCTIONS(F)
  return 1;
}
static int find_version2(void) {
  DNN_2_FUNCTIONS(F)
  return 1;
}
static int find_version3(void) {
  DNN_3_FUNCTIONS(F)
  return 1;
}
#undef F

static int find_functions(void) {
  if (!find_common()) return 0;
  const dnn_version *version = functions.version();
  dnn.major = version->major;
  dnn.minor = version->minor;
  dnn.patch = version->patch;
  dnn.shares_team = version->cpu_runtime == openmp_runtime;
  if (dnn.major != 2 && dnn.major != 3) {
    martlet_library_reject(&library, "only versions 2 and 3 fit");
    return 0;
  }
  return dnn.major == 2 ? find_version2() : find_version3();
}

static void load(void) {
  martlet_team_start(0);
  martlet_library_open(&library, "convolutions by oneDNN", "MARTLET_DNNL", candidates);
  if (library.handle && find_functions() &&
      functions.engine_create(&functions.engine, cpu_engine, 0) == 0 &&
      functions.stream_create(&functions.stream, functions.engine, default_stream) == 0) {
    functions.major = dnn.major;
    dnn.available = 1;
    if (!dnn.shares_team) {
      size_t used = strlen(library.message);
      snprintf(
        library.message + used, sizeof library.message - used,
        "; it does not share the team's threads, which makes runs slower: a build for OpenMP (GNU) fits");
    }
  }
  dnn.message = library.message;
  dnn.path = library.path;
}

const martlet_dnn *martlet_dnn_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return &dnn;
}

const dnn_functions *martlet_dnn_functions(void) {
  martlet_dnn_library();
  return &functions;
}
