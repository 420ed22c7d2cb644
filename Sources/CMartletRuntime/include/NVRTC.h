/// NVIDIA's compiler of CUDA C, loaded at run time. It needs neither a GPU nor a driver.
#ifndef MARTLET_NVRTC_H
#define MARTLET_NVRTC_H

#include <stddef.h>
#include <stdint.h>

typedef struct martlet_nvrtc_program_s *martlet_nvrtc_program;

/// The functions of NVRTC that are used: F(name, parameters). All return 0, or an error for `GetErrorString`.
#define MARTLET_NVRTC_FUNCTIONS(F) \
  F(Version, (int *major, int *minor)) \
  F(GetNumSupportedArchs, (int *count)) \
  F(GetSupportedArchs, (int *architectures)) \
  F(CreateProgram, \
    (martlet_nvrtc_program *program, const char *source, const char *name, int header_count, \
     const char *const *headers, const char *const *include_names)) \
  F(CompileProgram, (martlet_nvrtc_program program, int option_count, const char *const *options)) \
  F(GetProgramLogSize, (martlet_nvrtc_program program, size_t *bytes)) \
  F(GetProgramLog, (martlet_nvrtc_program program, char *log)) \
  F(GetCUBINSize, (martlet_nvrtc_program program, size_t *bytes)) \
  F(GetCUBIN, (martlet_nvrtc_program program, char *code)) \
  F(GetPTXSize, (martlet_nvrtc_program program, size_t *bytes)) \
  F(GetPTX, (martlet_nvrtc_program program, char *code)) \
  F(DestroyProgram, (martlet_nvrtc_program *program))

typedef struct {
  const char *(*GetErrorString)(int error);
#define F(name, parameters) int(*name) parameters;
  MARTLET_NVRTC_FUNCTIONS(F)
#undef F
} martlet_nvrtc;

/// Finds NVRTC's functions in a library that `dlopen` gave, and loads the library beside it that NVRTC looks for by its
/// bare name when it first compiles. Returns NULL, or the name of the first function that is missing.
const char *martlet_nvrtc_find(void *handle, martlet_nvrtc *nvrtc);

#endif
