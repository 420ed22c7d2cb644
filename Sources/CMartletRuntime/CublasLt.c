#include "CublasLt.h"

#include <dlfcn.h>

const char *martlet_cublaslt_find(void *handle, martlet_cublaslt *library) {
#define F(name, parameters) \
  if (!(library->name = (int(*) parameters)dlsym(handle, "cublasLt" #name))) return "cublasLt" #name;
  MARTLET_CUBLASLT_FUNCTIONS(F)
#undef F
  library->GetVersion = (size_t(*)(void))dlsym(handle, "cublasLtGetVersion");
  library->GetCudartVersion = (size_t(*)(void))dlsym(handle, "cublasLtGetCudartVersion");
  library->GetStatusName = (const char *(*)(int))dlsym(handle, "cublasLtGetStatusName");
  library->GetStatusString = (const char *(*)(int))dlsym(handle, "cublasLtGetStatusString");
  if (!library->GetVersion) return "cublasLtGetVersion";
  if (!library->GetCudartVersion) return "cublasLtGetCudartVersion";
  if (!library->GetStatusName) return "cublasLtGetStatusName";
  return library->GetStatusString ? NULL : "cublasLtGetStatusString";
}
