// Streams, events, and functions of the host.
#include "Stub.h"

using namespace stub;

STUB int cuStreamCreate(void **stream, unsigned flags) {
  CALL(cuStreamCreate);
  if (flags > 1) return call.misuse(invalid_value, "flags %u", flags);
  *stream = add(new Stream(current()));
  return success;
}

STUB int cuStreamDestroy_v2(void *handle) {
  CALL(cuStreamDestroy_v2);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  if (!stream) return call.error;
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_unsupported, "the stream captures");
  }
  // What was queued is carried out all the same.
  stream->alive = false;
  return success;
}

static bool is_outside_capture(Call &call, Stream *stream) {
  if (!stream) return false;
  if (!stream->capture) return true;
  stream->capture->invalid = true;
  call.misuse(capture_unsupported, "the stream captures");
  return false;
}

STUB int cuStreamSynchronize(void *handle) {
  CALL(cuStreamSynchronize);
  Stream *stream = call.object<Stream>(handle, Kind::stream);
  return is_outside_capture(call, stream) ? complete(stream->tail) : call.error;
}

STUB int cuStreamWaitEvent(void *stream_handle, void *event_handle, unsigned flags) {
  CALL(cuStreamWaitEvent);
  Stream *stream = call.object<Stream>(stream_handle, Kind::stream);
  Event *event = stream ? call.object<Event>(event_handle, Kind::event) : nullptr;
  if (!event) return call.error;
  if (flags) return call.misuse(invalid_value, "flags %u", flags);
  if (event->capture) {
    if (event->capture->ended) {
      return call.misuse(captured_event, "the event was recorded in a capture that has ended");
    }
    if (stream->capture && stream->capture != event->capture) {
      stream->capture->invalid = event->capture->invalid = true;
      return call.misuse(capture_merge, "the event is of another capture");
    }
    stream->capture = event->capture;
    event->capture->members.insert(stream);
    stream->heads.insert(stream->heads.end(), event->heads.begin(), event->heads.end());
    return success;
  }
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.misuse(capture_isolation, "a captured stream waits for an event that is not captured");
  }
  if (!event->task) return call.misuse(invalid_value, "the event was never recorded, so that nothing is waited for");
  stream->tail = make_task(stream->context, nullptr, {stream->tail, event->task});
  return success;
}

// MARK: Events

STUB int cuEventCreate(void **event, unsigned flags) {
  CALL(cuEventCreate);
  if (flags & ~3u) return call.misuse(invalid_value, "flags %u", flags);
  *event = add(new Event(current(), !(flags & 2)));
  return success;
}

STUB int cuEventDestroy_v2(void *handle) {
  CALL(cuEventDestroy_v2);
  Event *event = call.object<Event>(handle, Kind::event);
  if (event) event->alive = false;
  return call.error;
}

STUB int cuEventRecord(void *event_handle, void *stream_handle) {
  CALL(cuEventRecord);
  Stream *stream = call.object<Stream>(stream_handle, Kind::stream);
  Event *event = stream ? call.object<Event>(event_handle, Kind::event) : nullptr;
  if (!event) return call.error;
  event->capture = stream->capture;
  event->heads = stream->heads;
  if (stream->capture) return success;
  stream->tail = event->task = make_task(stream->context, nullptr, {stream->tail});
  return success;
}

static bool is_recorded(Call &call, Event *event) {
  if (!event) return false;
  if (event->capture) {
    call.misuse(captured_event, "the event was last recorded in a capture");
  } else if (!event->task) {
    call.misuse(invalid_handle, "the event was never recorded");
  }
  return !call.error;
}

STUB int cuEventSynchronize(void *handle) {
  CALL(cuEventSynchronize);
  Event *event = call.object<Event>(handle, Kind::event);
  return is_recorded(call, event) ? complete(event->task) : call.error;
}

// A task takes a microsecond.
STUB int cuEventElapsedTime(float *milliseconds, void *begin_handle, void *end_handle) {
  CALL(cuEventElapsedTime);
  Event *begin = call.object<Event>(begin_handle, Kind::event);
  Event *end = begin ? call.object<Event>(end_handle, Kind::event) : nullptr;
  if (!end || !is_recorded(call, begin) || !is_recorded(call, end)) return call.error;
  if (!begin->timing || !end->timing) return call.misuse(invalid_handle, "an event without timing");
  if (!begin->task->done || !end->task->done) return not_ready;
  *milliseconds = 0.001f * float(int64_t(end->task->time) - int64_t(begin->task->time));
  return success;
}
