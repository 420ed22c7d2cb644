// Captures, and graphs made of them.
#include "Stub.h"

using namespace stub;

STUB int cuStreamBeginCapture_v2(void *handle, int mode) {
  CALL(cuStreamBeginCapture_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream) return call.error;
  if (mode < 0 || mode > 2) return call.misuse(invalid_value, "mode %d", mode);
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_unsupported, "the stream captures already");
  }
  auto capture = std::make_shared<Capture>();
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->members.insert(stream);
  stream->capture = capture;
  stream->heads.clear();
  state().captures.insert(capture);
  return success;
}

STUB int cuStreamIsCapturing(void *handle, int *status) {
  CALL(cuStreamIsCapturing);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (stream) *status = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
  return call.error;
}

// Whether every node comes before the end of the stream in which the capture began.
static bool is_joined(const Capture &capture, const std::vector<int> &heads) {
  std::vector<bool> reached(capture.nodes.size());
  std::vector<int> open = heads;
  while (!open.empty()) {
    const int node = open.back();
    open.pop_back();
    if (reached[node]) continue;
    reached[node] = true;
    open.insert(open.end(), capture.nodes[node].before.begin(), capture.nodes[node].before.end());
  }
  for (bool one : reached) {
    if (!one) return false;
  }
  return true;
}

STUB int cuStreamEndCapture(void *handle, void **graph) {
  CALL(cuStreamEndCapture);
  *graph = nullptr;
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream) return call.error;
  const CaptureRef capture = stream->capture;
  if (!capture) return call.misuse(invalid_value, "the stream does not capture");
  if (capture->origin != stream) {
    capture->invalid = true;
    return call.misuse(capture_unmatched, "the capture began in another stream");
  }
  if (capture->mode != 2 && capture->thread != std::this_thread::get_id()) {
    return call.misuse(capture_wrong_thread, "the capture was begun by another thread");
  }
  const std::vector<int> heads = stream->heads;
  for (Stream *member : capture->members) {
    member->capture = nullptr;
    member->heads.clear();
  }
  capture->ended = true;
  state().captures.erase(capture);
  if (capture->invalid) return capture_invalidated;
  if (!is_joined(*capture, heads)) return call.misuse(capture_unjoined, "a stream that took part was not waited for");
  Graph *made = add(new Graph(current()));
  made->nodes = capture->nodes;
  *graph = made;
  return success;
}

STUB int cuGraphInstantiateWithFlags(void **executable, void *handle, unsigned long long flags) {
  CALL(cuGraphInstantiateWithFlags);
  Graph *graph = call.object<Graph>(handle, Kind::graph);
  if (!graph) return call.error;
  if (flags & ~15ull) return call.misuse(invalid_value, "flags %llu", flags);
  Executable *made = add(new Executable(current()));
  made->nodes = graph->nodes;
  *executable = made;
  return success;
}

STUB int cuGraphDestroy(void *handle) {
  CALL(cuGraphDestroy);
  Graph *graph = call.object<Graph>(handle, Kind::graph);
  if (graph) graph->alive = false;
  return call.error;
}

STUB int cuGraphExecDestroy(void *handle) {
  CALL(cuGraphExecDestroy);
  Executable *executable = call.object<Executable>(handle, Kind::executable);
  if (executable) executable->alive = false;
  return call.error;
}

STUB int cuGraphLaunch(void *executable_handle, void *stream_handle) {
  CALL(cuGraphLaunch);
  Executable *executable = call.object<Executable>(executable_handle, Kind::executable);
  Stream *stream = executable ? call.object<Stream>(stream_handle, Kind::stream) : nullptr;
  if (!stream) return call.error;
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_unsupported, "the stub does not capture graphs");
  }
  for (const Node &node : executable->nodes) {
    for (const Use &use : node.action->device) {
      if (!call.device_range(use.address, use.bytes, node.action->what.c_str())) return call.error;
    }
    for (const Use &use : node.action->pinned) {
      if (find(state().pinned, use.address)) continue;
      return call.misuse(illegal_address, "%s uses pinned memory that was freed", node.action->what.c_str());
    }
  }
  const TaskRef begin = make_task(stream->context, nullptr, {stream->tail});
  std::vector<TaskRef> tasks;
  for (const Node &node : executable->nodes) {
    std::vector<TaskRef> before{begin};
    for (int number : node.before) before.push_back(tasks[number]);
    tasks.push_back(make_task(stream->context, node.action, before));
  }
  tasks.push_back(begin);
  stream->tail = make_task(stream->context, nullptr, tasks);
  return success;
}
