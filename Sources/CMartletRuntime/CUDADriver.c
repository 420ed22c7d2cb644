#include "CUDADriver.h"

#include <dlfcn.h>

const char *martlet_cuda_driver_find(void *handle, martlet_cuda_driver *driver) {
#define F(member, symbol, parameters) \
  if (!(driver->member = (int(*) parameters)dlsym(handle, #symbol))) return #symbol;
  MARTLET_CUDA_DRIVER_FUNCTIONS(F)
#undef F
  return NULL;
}

static _Thread_local uint64_t current;

int martlet_cuda_make_current(const martlet_cuda_driver *driver, martlet_cuda_context context, uint64_t number) {
  if (current == number) return 0;
  const int error = driver->CtxSetCurrent(context);
  current = error ? 0 : number;
  return error;
}
