/// LLVM's C interface, loaded at run time.
#ifndef MARTLET_LLVM_H
#define MARTLET_LLVM_H

#include "LLVMFunctions.h"

#include <stddef.h>
#include <stdint.h>

typedef struct martlet_llvm_context_s *martlet_llvm_context;
typedef struct martlet_llvm_diagnostic_s *martlet_llvm_diagnostic;
typedef struct martlet_llvm_error_s *martlet_llvm_error;
typedef struct martlet_llvm_module_s *martlet_llvm_module;
typedef struct martlet_llvm_type_s *martlet_llvm_type;
typedef struct martlet_llvm_value_s *martlet_llvm_value;
typedef struct martlet_llvm_block_s *martlet_llvm_block;
typedef struct martlet_llvm_builder_s *martlet_llvm_builder;
typedef struct martlet_llvm_attribute_s *martlet_llvm_attribute;
typedef struct martlet_llvm_metadata_s *martlet_llvm_metadata;
typedef struct martlet_llvm_pass_options_s *martlet_llvm_pass_options;
typedef struct martlet_llvm_target_s *martlet_llvm_target;
typedef struct martlet_llvm_target_machine_s *martlet_llvm_target_machine;
typedef struct martlet_llvm_data_layout_s *martlet_llvm_data_layout;
typedef struct martlet_llvm_buffer_s *martlet_llvm_buffer;
typedef struct martlet_llvm_jit_s *martlet_llvm_jit;
typedef struct martlet_llvm_jit_builder_s *martlet_llvm_jit_builder;
typedef struct martlet_llvm_dylib_s *martlet_llvm_dylib;
typedef struct martlet_llvm_generator_s *martlet_llvm_generator;
typedef struct martlet_llvm_tracker_s *martlet_llvm_tracker;

typedef void (*martlet_llvm_diagnostic_handler)(martlet_llvm_diagnostic, void *context);

typedef enum {
  martlet_llvm_error_severity,
  martlet_llvm_warning_severity,
  martlet_llvm_remark_severity,
  martlet_llvm_note_severity
} martlet_llvm_severity;

typedef enum {
  martlet_llvm_int_eq = 32,
  martlet_llvm_int_ne,
  martlet_llvm_int_ugt,
  martlet_llvm_int_uge,
  martlet_llvm_int_ult,
  martlet_llvm_int_ule,
  martlet_llvm_int_sgt,
  martlet_llvm_int_sge,
  martlet_llvm_int_slt,
  martlet_llvm_int_sle
} martlet_llvm_int_predicate;

typedef enum {
  martlet_llvm_real_oeq = 1,
  martlet_llvm_real_ogt,
  martlet_llvm_real_oge,
  martlet_llvm_real_olt,
  martlet_llvm_real_ole,
  martlet_llvm_real_one,
  martlet_llvm_real_ord,
  martlet_llvm_real_uno,
  martlet_llvm_real_ueq,
  martlet_llvm_real_ugt,
  martlet_llvm_real_uge,
  martlet_llvm_real_ult,
  martlet_llvm_real_ule,
  martlet_llvm_real_une
} martlet_llvm_real_predicate;

typedef enum {
  martlet_llvm_external_linkage = 0,
  martlet_llvm_internal_linkage = 8,
  martlet_llvm_private_linkage = 9
} martlet_llvm_linkage;

typedef enum {
  martlet_llvm_abort_when_broken,
  martlet_llvm_print_when_broken,
  martlet_llvm_return_when_broken
} martlet_llvm_verifier_action;

typedef enum {
  martlet_llvm_monotonic = 2,
  martlet_llvm_acquire = 4,
  martlet_llvm_release = 5,
  martlet_llvm_acquire_release = 6,
  martlet_llvm_sequentially_consistent = 7
} martlet_llvm_ordering;

typedef enum {
  martlet_llvm_atomic_exchange = 0,
  martlet_llvm_atomic_add = 1,
  martlet_llvm_atomic_max = 7,
  martlet_llvm_atomic_min = 8,
  martlet_llvm_atomic_fadd = 11
} martlet_llvm_atomic_operation;

typedef enum {
  martlet_llvm_level_none,
  martlet_llvm_level_less,
  martlet_llvm_level_default,
  martlet_llvm_level_aggressive
} martlet_llvm_level;

typedef enum {
  martlet_llvm_relocation_default,
  martlet_llvm_relocation_static,
  martlet_llvm_relocation_pic
} martlet_llvm_relocation;

typedef enum {
  martlet_llvm_code_model_default = 0,
  martlet_llvm_code_model_jit = 1,
  martlet_llvm_code_model_small = 3,
  martlet_llvm_code_model_large = 6
} martlet_llvm_code_model;

typedef enum { martlet_llvm_assembly_file, martlet_llvm_object_file } martlet_llvm_file_type;

/// Flags for `SetFastMathFlags`.
enum {
  martlet_llvm_allow_reassociation = 1,
  martlet_llvm_no_signed_zeros = 8,
  martlet_llvm_allow_contraction = 32
};

typedef struct {
  /// 1 if a fitting version was loaded. The other members then hold, and the functions may be called.
  int32_t available;
  /// The major version, 15 to 21; 0 if unknown.
  int32_t major;
  /// For people: what was loaded, or what was looked for and why that failed.
  const char *message;
  const char *path;
  /// The target of code for this process, and this machine's processor and its features in LLVM's words.
  const char *triple;
  const char *cpu;
  const char *features;
#define F(result, name, parameters) result(*name) parameters;
  MARTLET_LLVM_FUNCTIONS(F)
  MARTLET_LLVM_OPTIONAL_FUNCTIONS(F)
#undef F
} martlet_llvm;

/// LLVM, loaded at the first call (12 to 16 ms), with the target for this machine initialised.
///
/// MARTLET_LLVM names a file to load instead of those looked for (versions 19, 18, 17, 16, 15, then 20 and 21).
/// A context and what belongs to it may be used by one thread at a time.
const martlet_llvm *martlet_llvm_library(void);

/// Gives up the pages of LLVM's code, some 50 MB after kernels have been compiled: a plan runs without them. They are mapped again
/// from its file when they are next needed, so that other threads may use LLVM meanwhile.
void martlet_llvm_release_pages(void);

/// Begins to generate code on a thread that the process does not wait for, one thread at a time; 0 if the process is ending,
/// and nothing has begun. The end of the process waits for `martlet_llvm_background_end`: it destroys LLVM's data.
int32_t martlet_llvm_background_begin(void);
void martlet_llvm_background_end(void);

#endif
