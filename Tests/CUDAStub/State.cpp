// The report, injected failures, and what every call checks.
#include "Stub.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace stub {

State &state() {
  static State *shared = new State;
  return *shared;
}

static thread_local Context *current_context;

Context *current() { return current_context; }
void set_current(Context *context) { current_context = context; }

static std::string format_text(const char *format, va_list arguments) {
  char line[1024];
  vsnprintf(line, sizeof line, format, arguments);
  return line;
}

std::string text(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string line = format_text(format, arguments);
  va_end(arguments);
  return line;
}

void report(const std::string &line) {
  if (state().report.size() < 1000) state().report.push_back(line);
}

Call::Call(const char *name, Need need) : name(name), guard(state().lock) {
  State &s = state();
  s.counts[name]++;
  auto failure = s.failures.find(name);
  if (failure != s.failures.end() && (failure->second.first < 0 || --failure->second.first == 0)) {
    error = failure->second.second;
    if (failure->second.first == 0) s.failures.erase(failure);
    return;
  }
  if (need >= initialization && !s.initialized) {
    error = misuse(not_initialized, "cuInit was not called");
  } else if (need >= context) {
    Context *context = current();
    if (!context) {
      error = misuse(invalid_context, "this thread has no context");
    } else if (!context->alive) {
      error = misuse(context_is_destroyed, "this thread's context was released");
    } else if (context->sticky) {
      error = context->sticky;
    }
  }
}

int Call::misuse(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(std::string(name) + ": " + format_text(format, arguments));
  va_end(arguments);
  error = code;
  return code;
}

Object *Call::check(void *handle, Kind kind) {
  static const char *const names[] = {
    "context", "stream", "event", "module", "function", "graph", "executable graph", "library object"};
  Object *object = static_cast<Object *>(handle);
  if (!state().objects.count(object) || object->kind != kind) {
    misuse(invalid_handle, "%p is no %s", handle, names[int(kind)]);
    return nullptr;
  }
  if (!object->alive) {
    misuse(invalid_handle, "the %s was destroyed", object->name);
    return nullptr;
  }
  if (object->context && current() && object->context != current()) {
    misuse(
      invalid_context, "the %s is of device %d, this thread's context of device %d", object->name,
      object->context->device, current()->device);
    return nullptr;
  }
  return object;
}

bool Call::allows_capture() {
  for (const CaptureRef &capture : state().captures) {
    if (capture->mode == 2 || (capture->mode == 1 && capture->thread != std::this_thread::get_id())) continue;
    capture->invalid = true;
    misuse(capture_unsupported, "it must not be called during a capture");
    return false;
  }
  return true;
}

}  // namespace stub

using namespace stub;

// MARK: For tests

// Makes the n-th call from now on, 1 being the next, of a function fail with an error; every one if n is negative.
STUB void stub_fail(const char *call, int nth, int error) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  state().failures[call] = {nth, error};
}

// 0 does what is waited for and nothing else, latest work first; other seeds draw lots.
STUB void stub_seed(uint64_t seed) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  state().seed = seed;
  state().random.seed(seed);
}

STUB void stub_set_device_count(int count) { state().device_count = count; }

// The memory of each device.
STUB void stub_set_device_bytes(size_t bytes) { state().device_bytes = bytes; }

// The compute capability of the devices, such as 90.
STUB void stub_set_capability(int capability) { state().capability = capability; }

// How often a function was called.
STUB long stub_count(const char *call) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  return state().counts[call];
}

// All misuse so far, a line each; valid until the next call.
STUB const char *stub_report(void) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  State &s = state();
  s.text.clear();
  for (const std::string &line : s.report) s.text += line + "\n";
  return s.text.c_str();
}

STUB void stub_clear_report(void) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  state().report.clear();
}

// What was made and not given back, a line each; valid until the next call.
STUB const char *stub_leaks(void) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  State &s = state();
  s.text.clear();
  for (auto &entry : s.device) s.text += text("%zu bytes of device memory\n", entry.second.bytes);
  for (auto &entry : s.pinned) s.text += text("%zu bytes of pinned memory\n", entry.second.bytes);
  std::multiset<std::string> names;
  for (Object *object : s.objects) {
    if (object->alive && object->kind != Kind::function) names.insert(object->name);
  }
  for (const std::string &name : names) s.text += name + "\n";
  return s.text.c_str();
}

// For whole programs: MARTLET_STUB_SEED sets the seed, and MARTLET_STUB_REPORT names a file for the report at the end.
__attribute__((constructor)) static void begin() {
  if (const char *seed = getenv("MARTLET_STUB_SEED")) stub_seed(strtoull(seed, nullptr, 10));
}

__attribute__((destructor)) static void end() {
  const char *path = getenv("MARTLET_STUB_REPORT");
  if (!path || !state().initialized) return;
  if (FILE *file = fopen(path, "a")) {
    fputs(stub_report(), file);
    fclose(file);
  }
}
