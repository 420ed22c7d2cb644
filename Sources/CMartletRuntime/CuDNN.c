#include "CuDNN.h"

#include <dlfcn.h>

const char *martlet_cudnn_find(void *handle, martlet_cudnn *library) {
#define F(name, parameters) \
  if (!(library->name = (int(*) parameters)dlsym(handle, "cudnn" #name))) return "cudnn" #name;
  MARTLET_CUDNN_FUNCTIONS(F)
#undef F
  library->GetVersion = (size_t(*)(void))dlsym(handle, "cudnnGetVersion");
  library->GetCudartVersion = (size_t(*)(void))dlsym(handle, "cudnnGetCudartVersion");
  library->GetErrorString = (const char *(*)(int))dlsym(handle, "cudnnGetErrorString");
  if (!library->GetVersion) return "cudnnGetVersion";
  if (!library->GetCudartVersion) return "cudnnGetCudartVersion";
  return library->GetErrorString ? NULL : "cudnnGetErrorString";
}
