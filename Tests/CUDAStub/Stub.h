// Stand-ins for CUDA's libraries, for tests on machines without a GPU.
//
// Device memory is memory of the host in tracked ranges; queued work is carried out when something waits for it, in an order
// as adverse as streams and events allow. Every pointer, range, handle and state is checked: a misuse makes the call fail
// and adds a line to a report. One loaded copy of the library is one machine with state of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#define STUB extern "C" __attribute__((visibility("default")))

namespace stub {

enum Error {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  not_initialized = 3,
  no_device = 100,
  invalid_device = 101,
  invalid_image = 200,
  invalid_context = 201,
  no_binary = 209,
  invalid_handle = 400,
  not_found = 500,
  not_ready = 600,
  illegal_address = 700,
  launch_out_of_resources = 701,
  context_is_destroyed = 709,
  launch_failed = 719,
  not_permitted = 800,
  capture_unsupported = 900,
  capture_invalidated = 901,
  capture_merge = 902,
  capture_unmatched = 903,
  capture_unjoined = 904,
  capture_isolation = 905,
  captured_event = 907,
  capture_wrong_thread = 908,
};

// MARK: Work

// Memory that work reads or writes; `bytes` 0 stands for the whole allocation, of which work may touch any part.
struct Use {
  uint64_t address;
  size_t bytes;
};

// What is done, as often as it is asked for: 0 or an error.
struct Action {
  std::string what;
  std::vector<Use> device, pinned;
  std::function<int()> run;
  // How long it takes, against other work.
  uint64_t cost = 1;
};

struct Task;
using TaskRef = std::shared_ptr<Task>;
struct Context;

struct Task {
  std::shared_ptr<Action> action;
  Context *context;
  uint64_t number;
  int blockers = 0;
  std::vector<TaskRef> before, after;
  bool done = false;
  uint64_t mark = 0;
  uint64_t time = 0;
};

// MARK: Objects

enum class Kind { context, stream, event, module, function, graph, executable, library };

// What a handle leads to. Objects are never freed, so that a handle of one that is gone is known as such.
struct Object {
  Kind kind;
  const char *name;
  bool alive = true;
  Context *context;
  Object(Kind kind, const char *name, Context *context) : kind(kind), name(name), context(context) {}
  virtual ~Object() = default;
};

struct Context : Object {
  int device;
  int sticky = 0;
  Context(int device) : Object(Kind::context, "context", nullptr), device(device) { context = this; }
};

struct Node {
  std::shared_ptr<Action> action;
  std::vector<int> before;
};

struct Stream;

struct Capture {
  Stream *origin;
  int mode;
  std::thread::id thread;
  std::vector<Node> nodes;
  std::set<Stream *> members;
  bool invalid = false, ended = false;
};
using CaptureRef = std::shared_ptr<Capture>;

struct Stream : Object {
  TaskRef tail;
  CaptureRef capture;
  std::vector<int> heads;
  Stream(Context *context) : Object(Kind::stream, "stream", context) {}
};

struct Event : Object {
  bool timing;
  TaskRef task;
  CaptureRef capture;
  std::vector<int> heads;
  Event(Context *context, bool timing) : Object(Kind::event, "event", context), timing(timing) {}
};

struct Graph : Object {
  std::vector<Node> nodes;
  Graph(Context *context) : Object(Kind::graph, "graph", context) {}
};

struct Executable : Object {
  std::vector<Node> nodes;
  Executable(Context *context) : Object(Kind::executable, "executable graph", context) {}
};

struct Module : Object {
  void *library;
  Module(Context *context, void *library) : Object(Kind::module, "module", context), library(library) {}
};

struct Function : Object {
  Module *module;
  std::string symbol;
  void (*run)(void **arguments, int blocks, int threads, int reversed);
  // The bytes of each parameter, negative for pointers.
  std::vector<int> parameters;
  int most_shared_bytes = 48 << 10;
  Function(Module *module) : Object(Kind::function, "function", module->context), module(module) {}
};

// A handle or descriptor of a library on top of the driver.
struct LibraryObject : Object {
  LibraryObject(const char *name, Context *context) : Object(Kind::library, name, context) {}
};

// MARK: Memory

struct Allocation {
  uint64_t base;
  size_t bytes;
  Context *context;
  char *block;
};

// MARK: State

struct State {
  std::recursive_mutex lock;
  bool initialized = false;
  int device_count = 2;
  size_t device_bytes = size_t(1) << 30;
  // The compute capability of the devices.
  int capability = 90;
  std::vector<std::string> report;
  std::string text;
  std::map<std::string, std::pair<int, int>> failures;
  std::map<std::string, long> counts;

  std::vector<Context *> contexts;
  std::vector<int> retained;
  std::unordered_set<Object *> objects;

  std::map<uint64_t, Allocation> device, pinned;
  // Freed, and not used again: by base.
  std::map<uint64_t, Allocation> freed_device, freed_pinned;
  size_t used_bytes = 0;

  uint64_t seed = 0, next_task = 1, next_mark = 1, clock = 0;
  std::mt19937_64 random{0};
  std::vector<TaskRef> ready;
  // What was queued and not carried out, by number.
  std::map<uint64_t, TaskRef> pending;
  std::set<CaptureRef> captures;
};

State &state();
Context *current();
void set_current(Context *context);

// A call of the interface: holds the lock, and says why the call must not go on.
struct Call {
  enum Need { nothing, initialization, context };
  const char *name;
  std::unique_lock<std::recursive_mutex> guard;
  int error = 0;
  Call(const char *name, Need need);
  // Adds a line to the report, and gives the error back.
  int misuse(int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
  // The object of a handle; null, with `error` set, if there is none such here.
  template <class T> T *object(void *handle, Kind kind) {
    Object *found = check(handle, kind);
    return static_cast<T *>(found);
  }
  Object *check(void *handle, Kind kind);
  // Whether a range is one of live device memory (or of pinned memory); sets `error` if not.
  bool device_range(uint64_t address, size_t bytes, const char *role);
  // Calls that must not come while this thread, or with the global mode anyone, captures.
  bool allows_capture();
};

#define CALL_NEEDING(name, need) \
  stub::Call call(#name, stub::Call::need); \
  if (call.error) return call.error
#define CALL(name) CALL_NEEDING(name, context)

void report(const std::string &line);
std::string text(const char *format, ...) __attribute__((format(printf, 1, 2)));

template <class T> T *add(T *object) {
  state().objects.insert(object);
  return object;
}

// Gives work to a stream, or to the graph that it captures.
int enqueue(Call &call, Stream *stream, std::shared_ptr<Action> action);
// Carries out a task and all that must come before it.
int complete(const TaskRef &task);
int complete_all(Context *context);
TaskRef make_task(Context *context, std::shared_ptr<Action> action, std::vector<TaskRef> before);

const Allocation *find(const std::map<uint64_t, Allocation> &memory, uint64_t address);
// Looks at the guards around an allocation; reports what wrote there.
bool check_guards(const Allocation &allocation, const std::string &what);
void check_uses(Call &call, const char *verb, uint64_t base, size_t bytes, bool pinned);
void *pointer(uint64_t address);
size_t unwritten_words(const void *bytes, size_t count);

}  // namespace stub
