// What the files of the stand-in for cuDNN share.
#pragma once
#include "Numbers.h"

namespace stub {

enum { dnn_bad_parameter = 2000, dnn_not_supported = 3000 };

struct DnnHandle : LibraryObject {
  Stream *stream = nullptr;
  DnnHandle(Context *context) : LibraryObject("cuDNN handle", context) {}
};

struct DnnTensor : LibraryObject {
  bool is_set = false, channels_last = false;
  int n = 0, c = 0, h = 0, w = 0;
  Numbers type = Numbers::float32;
  DnnTensor() : LibraryObject("cuDNN tensor", nullptr) {}
  size_t count() const { return size_t(n) * c * h * w; }
  size_t bytes() const { return count() * width(type); }
  size_t at(int i, int channel, int y, int x) const {
    return channels_last ? ((size_t(i) * h + y) * w + x) * c + channel : ((size_t(i) * c + channel) * h + y) * w + x;
  }
};

struct DnnFilter : LibraryObject {
  bool is_set = false, channels_last = false;
  int k = 0, c = 0, h = 0, w = 0;
  Numbers type = Numbers::float32;
  DnnFilter() : LibraryObject("cuDNN filter", nullptr) {}
  size_t count() const { return size_t(k) * c * h * w; }
  size_t bytes() const { return count() * width(type); }
  size_t at(int output, int input, int y, int x) const {
    return channels_last ? ((size_t(output) * h + y) * w + x) * c + input : ((size_t(output) * c + input) * h + y) * w + x;
  }
};

struct DnnConvolution : LibraryObject {
  bool is_set = false;
  int pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, groups = 1, mathematics = 0;
  DnnConvolution() : LibraryObject("cuDNN convolution", nullptr) {}
};

struct DnnPooling : LibraryObject {
  bool is_set = false;
  int mode = 0, window_h = 1, window_w = 1, pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1;
  DnnPooling() : LibraryObject("cuDNN pooling", nullptr) {}
};

struct DnnActivation : LibraryObject {
  bool is_set = false;
  int mode = 0;
  DnnActivation() : LibraryObject("cuDNN activation", nullptr) {}
};

// The object of a handle, which has been set; null, with the call's error set, if it is none.
template <class T> T *dnn(Call &call, void *handle) {
  Object *object = call.check(handle, Kind::library);
  if (!object) return nullptr;
  T *found = dynamic_cast<T *>(object);
  if (!found) call.misuse(dnn_bad_parameter, "a %s is given for something else", object->name);
  return found;
}
template <class T> T *dnn_set(Call &call, void *handle) {
  T *found = dnn<T>(call, handle);
  if (found && !found->is_set) {
    call.misuse(dnn_bad_parameter, "a %s was not set", found->name);
    return nullptr;
  }
  return found;
}

// A library's handle; null, with the call's error set, if it is none or if its stream was destroyed.
DnnHandle *dnn_handle(Call &call, void *handle);
// The stream of a handle; null, with the call's error set, if it has none that lives.
Stream *dnn_stream(Call &call, DnnHandle *handle);
// Adds memory to what an action uses; false, with the call's error set, if it is none.
bool dnn_use(Call &call, Action &action, const void *memory, size_t bytes, const char *role);
bool dnn_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes);
float dnn_factor(const void *value);
// Sets the type of a descriptor by its number; false if there is none.
bool dnn_type(int number, Numbers &type);

}  // namespace stub

// Functions that make and destroy descriptors of a kind.
#define DESCRIPTOR(name, type) \
  STUB int cudnnCreate##name##Descriptor(void **handle) { \
    CALL_NEEDING(cudnnCreate##name##Descriptor, nothing); \
    *handle = static_cast<Object *>(add(new type)); \
    return success; \
  } \
  STUB int cudnnDestroy##name##Descriptor(void *handle) { \
    CALL_NEEDING(cudnnDestroy##name##Descriptor, nothing); \
    type *object = dnn<type>(call, handle); \
    if (object) object->alive = false; \
    return call.error; \
  }
