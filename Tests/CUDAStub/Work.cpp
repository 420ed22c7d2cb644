// Queued work, and the order in which it is carried out.
#include "Stub.h"

namespace stub {

namespace {
// Whether memory that work uses is alive; kernels may touch any part of what they are given.
bool uses_are_alive(const Action &action) {
  State &s = state();
  bool alive = true;
  for (const Use &use : action.device) {
    const Allocation *allocation = find(s.device, use.address);
    if (!allocation) allocation = find(s.pinned, use.address);
    if (allocation && use.address + use.bytes <= allocation->base + allocation->bytes) continue;
    report(action.what + (find(s.freed_device, use.address) ? " uses memory that was freed" : " uses what is no memory"));
    alive = false;
  }
  for (const Use &use : action.pinned) {
    const Allocation *allocation = find(s.pinned, use.address);
    if (allocation && use.address + use.bytes <= allocation->base + allocation->bytes) continue;
    report(action.what + " uses pinned memory that was freed");
    alive = false;
  }
  return alive;
}

void run(const TaskRef &task) {
  State &s = state();
  const Action *action = task->action.get();
  if (action && action->run && !task->context->sticky) {
    int error = uses_are_alive(*action) ? action->run() : illegal_address;
    for (const Use &use : action->device) {
      const Allocation *allocation = find(s.device, use.address);
      if (allocation) check_guards(*allocation, action->what);
    }
    // Later calls fail, too, as they do after a fault of a kernel.
    if (error) task->context->sticky = error;
  }
  task->done = true;
  s.clock += task->action ? task->action->cost : 1;
  task->time = s.clock;
  s.pending.erase(task->number);
  for (const TaskRef &next : task->after) {
    if (--next->blockers == 0) s.ready.push_back(next);
  }
  task->before.clear();
  task->after.clear();
}

// The index of the next task among those that are ready, of those marked where `mark` is not 0.
size_t choose(uint64_t mark) {
  State &s = state();
  std::vector<size_t> choices;
  for (size_t i = 0; i < s.ready.size(); i++) {
    if (!mark || s.ready[i]->mark == mark) choices.push_back(i);
  }
  if (s.seed) return choices[s.random() % choices.size()];
  size_t latest = choices[0];
  for (size_t i : choices) {
    if (s.ready[i]->number > s.ready[latest]->number) latest = i;
  }
  return latest;
}

void run_ready(size_t index) {
  State &s = state();
  const TaskRef task = s.ready[index];
  s.ready.erase(s.ready.begin() + index);
  run(task);
}
}  // namespace

TaskRef make_task(Context *context, std::shared_ptr<Action> action, std::vector<TaskRef> before) {
  State &s = state();
  auto task = std::make_shared<Task>();
  task->action = std::move(action);
  task->context = context;
  task->number = s.next_task++;
  for (const TaskRef &other : before) {
    if (!other || other->done) continue;
    task->before.push_back(other);
    other->after.push_back(task);
    task->blockers++;
  }
  s.pending[task->number] = task;
  if (task->blockers == 0) s.ready.push_back(task);
  return task;
}

int complete(const TaskRef &task) {
  if (!task) return success;
  State &s = state();
  if (!task->done) {
    const uint64_t mark = s.next_mark++;
    std::vector<TaskRef> open{task};
    task->mark = mark;
    while (!open.empty()) {
      const TaskRef next = open.back();
      open.pop_back();
      for (const TaskRef &other : next->before) {
        if (other->done || other->mark == mark) continue;
        other->mark = mark;
        open.push_back(other);
      }
    }
    while (!task->done) {
      // Other work may go on meanwhile, or not.
      run_ready(choose(s.seed && s.random() % 2 ? 0 : mark));
    }
  }
  return task->context->sticky;
}

int complete_all(Context *context) {
  State &s = state();
  for (;;) {
    TaskRef open;
    for (auto &entry : s.pending) {
      if (entry.second->context == context) open = entry.second;
    }
    if (!open) return context->sticky;
    complete(open);
  }
}

int enqueue(Call &call, Stream *stream, std::shared_ptr<Action> action) {
  if (Capture *capture = stream->capture.get()) {
    if (capture->invalid) return call.misuse(capture_invalidated, "the capture is invalid");
    capture->nodes.push_back({std::move(action), stream->heads});
    stream->heads = {int(capture->nodes.size()) - 1};
    return success;
  }
  stream->tail = make_task(stream->context, std::move(action), {stream->tail});
  return success;
}

void check_uses(Call &call, const char *verb, uint64_t base, size_t bytes, bool pinned) {
  for (auto &entry : state().pending) {
    if (!entry.second->action) continue;
    const Action &action = *entry.second->action;
    for (const Use &use : pinned ? action.pinned : action.device) {
      if (use.address >= base + bytes || use.address + use.bytes < base) continue;
      call.misuse(invalid_value, "memory is %s that %s uses, which is still to come", verb, action.what.c_str());
      return;
    }
  }
}

}  // namespace stub
