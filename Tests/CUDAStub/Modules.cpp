// Modules, which here are shared objects for the host, and launches of their kernels.
#include "Stub.h"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace stub;

// The bytes of a shared object; 0 if it is none.
static size_t object_bytes(const void *image) {
  Elf64_Ehdr header;
  memcpy(&header, image, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN) return 0;
  size_t end = header.e_shoff + size_t(header.e_shnum) * header.e_shentsize;
  for (int i = 0; i < header.e_phnum; i++) {
    Elf64_Phdr segment;
    memcpy(&segment, static_cast<const char *>(image) + header.e_phoff + size_t(i) * header.e_phentsize, sizeof segment);
    end = std::max(end, size_t(segment.p_offset + segment.p_filesz));
  }
  return end;
}

// The shared object of PTX; empty if it is none.
static std::string assembled(const void *image) {
  const char *text = static_cast<const char *>(image);
  if (strncmp(text, "// PTX\n", 7)) return "";
  const std::string all = text;
  std::string object;
  for (size_t at = all.rfind("// ") + 3; at + 1 < all.size(); at += 2) {
    object += char(strtol(all.substr(at, 2).c_str(), nullptr, 16));
  }
  return object;
}

// Whether a device runs code: machine code of its generation, or PTX, in neither case of a newer device.
static bool runs(void *library, int capability) {
  auto architecture = reinterpret_cast<int (*)()>(dlsym(library, "stub_architecture"));
  auto is_virtual = reinterpret_cast<int (*)()>(dlsym(library, "stub_is_virtual"));
  if (!architecture || !is_virtual) return false;
  return architecture() <= capability && (is_virtual() || architecture() / 10 == capability / 10);
}

// The loader takes files of one name for one: each image has its own.
static void *load(const void *image, size_t bytes) {
  char path[] = "/tmp/cuda-stub-module-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return nullptr;
  const char *next = static_cast<const char *>(image);
  while (bytes > 0) {
    const ssize_t written = write(file, next, bytes);
    if (written <= 0) break;
    next += written;
    bytes -= size_t(written);
  }
  close(file);
  void *library = bytes ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  unlink(path);
  return library;
}

STUB int cuModuleLoadData(void **module, const void *image) {
  CALL(cuModuleLoadData);
  if (!call.allows_capture()) return call.error;
  const std::string object = image ? assembled(image) : "";
  if (!object.empty()) image = object.data();
  const size_t bytes = image ? object_bytes(image) : 0;
  void *library = bytes ? load(image, bytes) : nullptr;
  if (!library) return call.misuse(invalid_image, "the image is none that the stub's compiler made");
  if (!runs(library, state().capability)) {
    dlclose(library);
    return call.misuse(no_binary, "the code is for other devices");
  }
  *module = add(new Module(current(), library));
  return success;
}

STUB int cuModuleUnload(void *handle) {
  CALL(cuModuleUnload);
  Module *module = call.object<Module>(handle, Kind::module);
  if (!module) return call.error;
  if (!call.allows_capture()) return call.error;
  for (Object *object : state().objects) {
    if (object->kind == Kind::function && static_cast<Function *>(object)->module == module) object->alive = false;
  }
  module->alive = false;
  // Queued launches still run the code.
  if (complete_all(module->context) == success) dlclose(module->library);
  return call.error;
}

STUB int cuModuleGetFunction(void **function, void *handle, const char *name) {
  CALL(cuModuleGetFunction);
  Module *module = call.object<Module>(handle, Kind::module);
  if (!module) return call.error;
  const std::string symbol = name;
  auto run = reinterpret_cast<void (*)(void **, int, int, int)>(dlsym(module->library, ("stub_run_" + symbol).c_str()));
  auto parameter = reinterpret_cast<int (*)(int)>(dlsym(module->library, ("stub_parameter_" + symbol).c_str()));
  if (!run || !parameter) return call.misuse(not_found, "the module has no function %s", name);
  Function *made = add(new Function(module));
  made->symbol = symbol;
  made->run = run;
  for (int i = 0; parameter(i); i++) made->parameters.push_back(parameter(i));
  *function = made;
  return success;
}

STUB int cuFuncSetAttribute(void *handle, int attribute, int value) {
  CALL(cuFuncSetAttribute);
  Function *function = call.object<Function>(handle, Kind::function);
  if (!function) return call.error;
  if (attribute != 8 || value < 0 || value > 227 << 10) {
    return call.misuse(invalid_value, "attribute %d, value %d", attribute, value);
  }
  function->most_shared_bytes = std::max(function->most_shared_bytes, value);
  return success;
}

STUB int cuLaunchKernel(
  void *function_handle, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x,
  unsigned threads_y, unsigned threads_z, unsigned shared_bytes, void *stream_handle, void **arguments, void **extra) {
  CALL(cuLaunchKernel);
  Function *function = call.object<Function>(function_handle, Kind::function);
  Stream *stream = function ? call.object<Stream>(stream_handle, Kind::stream) : nullptr;
  if (!stream) return call.error;
  const char *name = function->symbol.c_str();
  if (blocks_y != 1 || blocks_z != 1 || threads_y != 1 || threads_z != 1 || extra) {
    return call.misuse(invalid_value, "%s: the stub launches in one dimension, with an array of arguments", name);
  }
  if (blocks_x == 0 || blocks_x > 0x7fffffffu || threads_x == 0 || threads_x > 1024) {
    return call.misuse(invalid_value, "%s: %u blocks of %u threads", name, blocks_x, threads_x);
  }
  if (shared_bytes > unsigned(function->most_shared_bytes)) {
    return call.misuse(invalid_value, "%s: %u bytes of shared memory", name, shared_bytes);
  }
  if (!arguments && !function->parameters.empty()) return call.misuse(invalid_value, "%s: no arguments", name);
  auto action = std::make_shared<Action>();
  action->what = std::string("kernel ") + name;
  // Arguments are read now, each in a place of 8 bytes.
  auto values = std::make_shared<std::vector<uint64_t>>(function->parameters.size());
  for (size_t i = 0; i < values->size(); i++) {
    const int bytes = function->parameters[i];
    if (!arguments[i]) return call.misuse(invalid_value, "%s: no argument %zu", name, i);
    if (bytes > 8) return call.misuse(invalid_value, "%s: argument %zu has %d bytes", name, i, bytes);
    memcpy(&(*values)[i], arguments[i], size_t(bytes < 0 ? 8 : bytes));
    if (bytes > 0 || (*values)[i] == 0) continue;
    if (!call.device_range((*values)[i], 0, text("argument %zu of %s", i, name).c_str())) return call.error;
    action->device.push_back({(*values)[i], 0});
  }
  const State &s = state();
  const int reversed = s.seed ? int(state().random() % 2) : 1;
  auto run = function->run;
  action->run = [=] {
    std::vector<void *> places;
    for (uint64_t &value : *values) places.push_back(&value);
    run(places.data(), int(blocks_x), int(threads_x), reversed);
    return 0;
  };
  return enqueue(call, stream, action);
}
