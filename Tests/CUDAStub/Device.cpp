// Devices, contexts, and the names of errors.
#include "Stub.h"

#include <cstdio>
#include <cstring>

using namespace stub;

namespace {
struct Code {
  int code;
  const char *name, *text;
};
const Code codes[] = {
  {success, "CUDA_SUCCESS", "no error"},
  {invalid_value, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
  {out_of_memory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  {not_initialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
  {no_device, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
  {invalid_device, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
  {invalid_image, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
  {invalid_context, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {invalid_handle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
  {not_found, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
  {not_ready, "CUDA_ERROR_NOT_READY", "device not ready"},
  {illegal_address, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
  {launch_out_of_resources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
  {context_is_destroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
  {launch_failed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
  {not_permitted, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
  {capture_unsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
  {capture_invalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
  {capture_merge, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
  {capture_unmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
  {capture_unjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
  {capture_isolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
  {captured_event, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
  {capture_wrong_thread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture from another thread"},
};

int name_of(int error, const char **name, const char *Code::*member) {
  for (const Code &code : codes) {
    if (code.code == error) {
      *name = code.*member;
      return success;
    }
  }
  *name = nullptr;
  return invalid_value;
}

bool is_device(int device) { return device >= 0 && device < state().device_count; }
}  // namespace

STUB int cuInit(unsigned flags) {
  CALL_NEEDING(cuInit, nothing);
  if (flags) return call.misuse(invalid_value, "flags %u", flags);
  if (state().device_count == 0) return no_device;
  state().initialized = true;
  state().retained.resize(state().device_count);
  state().contexts.resize(state().device_count);
  return success;
}

STUB int cuDriverGetVersion(int *version) {
  CALL_NEEDING(cuDriverGetVersion, nothing);
  *version = 13000;
  return success;
}

STUB int cuGetErrorName(int error, const char **name) { return name_of(error, name, &Code::name); }
STUB int cuGetErrorString(int error, const char **string) { return name_of(error, string, &Code::text); }

STUB int cuDeviceGetCount(int *count) {
  CALL_NEEDING(cuDeviceGetCount, initialization);
  *count = state().device_count;
  return success;
}

// Handles of devices are not their ordinals, here.
STUB int cuDeviceGet(int *device, int ordinal) {
  CALL_NEEDING(cuDeviceGet, initialization);
  if (!is_device(ordinal)) return call.misuse(invalid_device, "there is no device %d", ordinal);
  *device = ordinal + 10;
  return success;
}

static bool checked(Call &call, int &device) {
  device -= 10;
  if (!is_device(device)) call.misuse(invalid_device, "%d is no device", device + 10);
  return !call.error;
}

STUB int cuDeviceGetName(char *name, int capacity, int device) {
  CALL_NEEDING(cuDeviceGetName, initialization);
  if (!checked(call, device)) return call.error;
  snprintf(name, capacity, "Stub GPU %d", device);
  return success;
}

STUB int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  CALL_NEEDING(cuDeviceTotalMem_v2, initialization);
  if (!checked(call, device)) return call.error;
  *bytes = state().device_bytes;
  return success;
}

STUB int cuDeviceGetAttribute(int *value, int attribute, int device) {
  CALL_NEEDING(cuDeviceGetAttribute, initialization);
  if (!checked(call, device)) return call.error;
  switch (attribute) {
    case 8: *value = 48 << 10; return success;
    case 16: *value = 132; return success;
    case 38: *value = 50 << 20; return success;
    case 75: *value = state().capability / 10; return success;
    case 76: *value = state().capability % 10; return success;
    case 97: *value = 227 << 10; return success;
  }
  return call.misuse(invalid_value, "attribute %d is none that the stub knows", attribute);
}

STUB int cuDevicePrimaryCtxRetain(void **context, int device) {
  CALL_NEEDING(cuDevicePrimaryCtxRetain, initialization);
  if (!checked(call, device)) return call.error;
  State &s = state();
  if (s.retained[device]++ == 0) s.contexts[device] = add(new Context(device));
  *context = s.contexts[device];
  return success;
}

STUB int cuDevicePrimaryCtxRelease_v2(int device) {
  CALL_NEEDING(cuDevicePrimaryCtxRelease_v2, initialization);
  if (!checked(call, device)) return call.error;
  State &s = state();
  if (s.retained[device] == 0) return call.misuse(invalid_context, "it was not retained");
  if (--s.retained[device]) return success;
  Context *context = s.contexts[device];
  complete_all(context);
  for (auto &entry : s.device) {
    if (entry.second.context == context) report(text("a context is released with %zu bytes in use", entry.second.bytes));
  }
  for (Object *object : s.objects) {
    if (object->alive && object->context == context && object != context && object->kind != Kind::function) {
      report(text("a context is released that has a live %s", object->name));
    }
  }
  context->alive = false;
  return success;
}

STUB int cuCtxGetCurrent(void **handle) {
  CALL_NEEDING(cuCtxGetCurrent, initialization);
  *handle = current();
  return success;
}

STUB int cuCtxSetCurrent(void *handle) {
  CALL_NEEDING(cuCtxSetCurrent, initialization);
  Context *context = static_cast<Context *>(handle);
  if (context && (!state().objects.count(context) || context->kind != Kind::context || !context->alive)) {
    return call.misuse(invalid_context, "%p is no live context", handle);
  }
  set_current(context);
  return success;
}
