// A compiler of CUDA C that makes shared objects for the host, by clang behind the simulator's header.
#include "Stub.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern char **environ;

using namespace stub;

namespace {
enum { failed_compilation = 6, invalid_input = 3, invalid_program = 4, invalid_option = 5 };

struct Program {
  std::string source, log, code, ptx;
};

// Text that leads to a shared object, as PTX leads to machine code.
std::string ptx(const std::string &object, const std::vector<std::string> &names, const std::string &architecture) {
  std::string text = "// PTX\n.target " + architecture + "\n";
  for (const std::string &name : names) text += ".visible .entry " + name + "(\n";
  text += "// ";
  for (const char c : object) {
    text += "0123456789abcdef"[(c >> 4) & 15];
    text += "0123456789abcdef"[c & 15];
  }
  return text + "\n";
}

// What follows the kernels: for each a function that takes its arguments as an array, and one that tells its parameters.
const char *const helpers = R"(
template <int... I> struct stub_numbers {};
template <class T, T... I> using stub_sequence = stub_numbers<(int)I...>;
template <class... P, int... I> static void stub_call(void (*kernel)(P...), void **a, stub_numbers<I...>) { kernel(*(P *)a[I]...); }
template <class... P> static void stub_call(void (*kernel)(P...), void **a) {
  stub_call(kernel, a, __make_integer_seq<stub_sequence, int, sizeof...(P)>());
}
template <class T> struct stub_bytes { enum { value = (int)sizeof(T) }; };
template <class T> struct stub_bytes<T *> { enum { value = -8 }; };
template <class... P> static int stub_parameter(void (*)(P...), int i) {
  const int all[] = {stub_bytes<P>::value..., 0};
  return all[i];
}
)";

// The names that stand before the parameters of functions marked __global__.
std::vector<std::string> kernels(const std::string &source) {
  std::vector<std::string> names;
  for (size_t at = source.find("__global__"); at != std::string::npos; at = source.find("__global__", at + 1)) {
    for (size_t open = source.find('(', at); open != std::string::npos; open = source.find('(', open + 1)) {
      size_t end = open;
      while (end > at && isspace((unsigned char)source[end - 1])) end--;
      size_t begin = end;
      while (begin > at && (isalnum((unsigned char)source[begin - 1]) || source[begin - 1] == '_')) begin--;
      const std::string name = source.substr(begin, end - begin);
      if (name == "__launch_bounds__") continue;
      // A declaration may come before the definition.
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      break;
    }
  }
  return names;
}

std::string read_file(const std::string &path) {
  std::string content;
  if (FILE *file = fopen(path.c_str(), "rb")) {
    char buffer[65536];
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, file)) > 0;) content.append(buffer, count);
    fclose(file);
  }
  return content;
}

bool write_file(const std::string &path, const std::string &content) {
  FILE *file = fopen(path.c_str(), "wb");
  if (!file) return false;
  const bool done = fwrite(content.data(), 1, content.size(), file) == content.size();
  return fclose(file) == 0 && done;
}

bool run(const std::vector<std::string> &command, const std::string &log) {
  std::vector<char *> arguments;
  for (const std::string &word : command) arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t process;
  const int error = posix_spawnp(&process, arguments[0], &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error) return false;
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
}  // namespace

STUB const char *nvrtcGetErrorString(int error) {
  switch (error) {
    case 0: return "NVRTC_SUCCESS";
    case invalid_input: return "NVRTC_ERROR_INVALID_INPUT";
    case invalid_program: return "NVRTC_ERROR_INVALID_PROGRAM";
    case invalid_option: return "NVRTC_ERROR_INVALID_OPTION";
    case failed_compilation: return "NVRTC_ERROR_COMPILATION";
  }
  return "NVRTC_ERROR unknown";
}

STUB int nvrtcVersion(int *major, int *minor) {
  CALL_NEEDING(nvrtcVersion, nothing);
  *major = 13;
  *minor = 0;
  return 0;
}

STUB int nvrtcGetNumSupportedArchs(int *count) {
  *count = 2;
  return 0;
}

STUB int nvrtcGetSupportedArchs(int *architectures) {
  architectures[0] = 75;
  architectures[1] = 90;
  return 0;
}

STUB int nvrtcCreateProgram(
  void **program, const char *source, const char *, int header_count, const char *const *, const char *const *) {
  CALL_NEEDING(nvrtcCreateProgram, nothing);
  if (!source || header_count) return call.misuse(invalid_input, "the stub takes one source without headers");
  *program = new Program{source, "", "", ""};
  return 0;
}

STUB int nvrtcCompileProgram(void *handle, int option_count, const char *const *options) {
  Program *program = static_cast<Program *>(handle);
  std::string architecture;
  {
    CALL_NEEDING(nvrtcCompileProgram, nothing);
    for (int i = 0; i < option_count; i++) {
      if (!strncmp(options[i], "--gpu-architecture=", 19)) architecture = options[i] + 19;
    }
    int number = 0;
    if (sscanf(architecture.c_str(), "sm_%d", &number) != 1 && sscanf(architecture.c_str(), "compute_%d", &number) != 1) {
      return call.misuse(invalid_option, "no architecture");
    }
  }
  const bool is_virtual = architecture.rfind("compute_", 0) == 0;
  char folder[] = "/tmp/cuda-stub-XXXXXX";
  if (!mkdtemp(folder)) return failed_compilation;
  const std::string place = folder, source = place + "/source.cpp", object = place + "/code.so", log = place + "/log";
  // The driver asks what devices the code is for.
  const std::string number = architecture.substr(architecture.find('_') + 1);
  std::string text = "#include \"" STUB_SIMULATOR "\"\n" + program->source + helpers + "extern \"C\" int stub_architecture() { return " +
                     number + "; }\nextern \"C\" int stub_is_virtual() { return " + (is_virtual ? "1" : "0") + "; }\n";
  for (const std::string &name : kernels(program->source)) {
    text += "extern \"C\" void stub_run_" + name + "(void **stub_a, int stub_blocks, int stub_threads, int stub_order) {\n  m_run([](void **stub_a) { stub_call(" +
            name + ", stub_a); }, stub_a, stub_blocks, stub_threads, stub_order);\n}\nextern \"C\" int stub_parameter_" + name +
            "(int i) { return stub_parameter(" + name + ", i); }\n";
    if (is_virtual) continue;
    program->log += "ptxas info    : Compiling entry function '" + name + "' for '" + architecture +
                    "'\nptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                    "ptxas info    : Used 32 registers, 0 bytes smem\n";
  }
  const bool done =
    write_file(source, text) &&
    run(
      {STUB_CLANG, "-std=c++17", "-O1", "-ffp-contract=off", "-fno-fast-math", "-w", "-shared", "-fPIC", "-nostdlib++",
       "-o", object, source, "-lm"},
      log);
  if (done) {
    const std::string code = read_file(object);
    (is_virtual ? program->ptx : program->code) = is_virtual ? ptx(code, kernels(program->source), architecture) : code;
  } else {
    program->log = read_file(log);
  }
  for (const std::string &path : {source, object, log}) unlink(path.c_str());
  rmdir(folder);
  return done ? 0 : failed_compilation;
}

STUB int nvrtcGetProgramLogSize(void *program, size_t *bytes) {
  *bytes = static_cast<Program *>(program)->log.size() + 1;
  return 0;
}

STUB int nvrtcGetProgramLog(void *program, char *log) {
  const std::string &text = static_cast<Program *>(program)->log;
  memcpy(log, text.c_str(), text.size() + 1);
  return 0;
}

STUB int nvrtcGetCUBINSize(void *program, size_t *bytes) {
  *bytes = static_cast<Program *>(program)->code.size();
  return 0;
}

STUB int nvrtcGetCUBIN(void *program, char *code) {
  const std::string &text = static_cast<Program *>(program)->code;
  memcpy(code, text.data(), text.size());
  return 0;
}

// A text with its end.
STUB int nvrtcGetPTXSize(void *program, size_t *bytes) {
  *bytes = static_cast<Program *>(program)->ptx.size() + 1;
  return 0;
}

STUB int nvrtcGetPTX(void *program, char *code) {
  const std::string &text = static_cast<Program *>(program)->ptx;
  memcpy(code, text.c_str(), text.size() + 1);
  return 0;
}

STUB int nvrtcDestroyProgram(void **program) {
  CALL_NEEDING(nvrtcDestroyProgram, nothing);
  if (!program || !*program) return call.misuse(invalid_program, "there is no program");
  delete static_cast<Program *>(*program);
  *program = nullptr;
  return 0;
}
