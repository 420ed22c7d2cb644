#include "CUDADriver.h"

#include <dlfcn.h>

const char *martlet_cuda_driver_find(void *handle, martlet_cuda_driver *driver) {
#define F(member, symbol, parameters) \
  if (!(driver->member = (int(*) parameters)dlsym(handle, #symbol))) return #symbol;
  MARTLET_CUDA_DRIVER_FUNCTIONS(F)
#undef F
  return NULL;
}

int martlet_cuda_make_current(const martlet_cuda_driver *driver, martlet_cuda_context context) {
  martlet_cuda_context current = NULL;
  const int error = driver->CtxGetCurrent(&current);
  return error || current == context ? error : driver->CtxSetCurrent(context);
}
