/// The driver of NVIDIA's GPUs, loaded at run time. Declarations are our own, after the CUDA Driver API reference.
#ifndef MARTLET_CUDA_DRIVER_H
#define MARTLET_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef struct martlet_cuda_context_s *martlet_cuda_context;
typedef struct martlet_cuda_stream_s *martlet_cuda_stream;
typedef struct martlet_cuda_event_s *martlet_cuda_event;
typedef struct martlet_cuda_module_s *martlet_cuda_module;
typedef struct martlet_cuda_function_s *martlet_cuda_function;
typedef struct martlet_cuda_graph_s *martlet_cuda_graph;
typedef struct martlet_cuda_executable_s *martlet_cuda_executable;
typedef uint64_t martlet_cuda_address;

/// One side of a copy of a box: where it begins, and how far apart its rows and planes are.
typedef struct {
  size_t x_bytes, y, z, level;
  /// 1 host, 2 device.
  int32_t memory_kind;
  const void *host;
  martlet_cuda_address device;
  void *array, *reserved;
  /// Bytes from row to row, and rows from plane to plane.
  size_t pitch, height;
} martlet_cuda_box_side;

/// A copy of a box of bytes.
typedef struct {
  martlet_cuda_box_side source, destination;
  size_t width_bytes, height, depth;
} martlet_cuda_box;

enum {
  martlet_cuda_no_error = 0,
  martlet_cuda_out_of_memory = 2,
  martlet_cuda_memory_host = 1,
  martlet_cuda_memory_device = 2,
  martlet_cuda_stream_non_blocking = 1,
  martlet_cuda_event_no_timing = 2,
  martlet_cuda_capture_thread_local = 1,
  martlet_cuda_function_dynamic_shared_bytes = 8,
  martlet_cuda_device_shared_bytes = 8,
  martlet_cuda_device_multiprocessors = 16,
  martlet_cuda_device_cache_bytes = 38,
  martlet_cuda_device_major = 75,
  martlet_cuda_device_minor = 76,
  martlet_cuda_device_most_shared_bytes = 97,
};

/// The functions of the driver that are used: F(member, symbol, parameters). All return 0 or an error.
///
/// Symbols carry the version of the interface that these parameters belong to.
#define MARTLET_CUDA_DRIVER_FUNCTIONS(F) \
  F(Init, cuInit, (unsigned flags)) \
  F(DriverGetVersion, cuDriverGetVersion, (int *version)) \
  F(GetErrorName, cuGetErrorName, (int error, const char **name)) \
  F(GetErrorString, cuGetErrorString, (int error, const char **text)) \
  F(DeviceGetCount, cuDeviceGetCount, (int *count)) \
  F(DeviceGet, cuDeviceGet, (int *device, int ordinal)) \
  F(DeviceGetName, cuDeviceGetName, (char *name, int capacity, int device)) \
  F(DeviceTotalMem, cuDeviceTotalMem_v2, (size_t *bytes, int device)) \
  F(DeviceGetAttribute, cuDeviceGetAttribute, (int *value, int attribute, int device)) \
  F(DevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, (martlet_cuda_context *context, int device)) \
  F(DevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (int device)) \
  F(CtxGetCurrent, cuCtxGetCurrent, (martlet_cuda_context *context)) \
  F(CtxSetCurrent, cuCtxSetCurrent, (martlet_cuda_context context)) \
  F(MemGetInfo, cuMemGetInfo_v2, (size_t *free, size_t *total)) \
  F(MemAlloc, cuMemAlloc_v2, (martlet_cuda_address *address, size_t bytes)) \
  F(MemFree, cuMemFree_v2, (martlet_cuda_address address)) \
  F(MemHostAlloc, cuMemHostAlloc, (void **memory, size_t bytes, unsigned flags)) \
  F(MemFreeHost, cuMemFreeHost, (void *memory)) \
  F(MemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, \
    (martlet_cuda_address to, const void *from, size_t bytes, martlet_cuda_stream stream)) \
  F(MemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, \
    (void *to, martlet_cuda_address from, size_t bytes, martlet_cuda_stream stream)) \
  F(MemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, \
    (martlet_cuda_address to, martlet_cuda_address from, size_t bytes, martlet_cuda_stream stream)) \
  F(Memcpy3DAsync, cuMemcpy3DAsync_v2, (const martlet_cuda_box *box, martlet_cuda_stream stream)) \
  F(MemsetD8Async, cuMemsetD8Async, \
    (martlet_cuda_address to, unsigned char value, size_t bytes, martlet_cuda_stream stream)) \
  F(StreamCreate, cuStreamCreate, (martlet_cuda_stream *stream, unsigned flags)) \
  F(StreamDestroy, cuStreamDestroy_v2, (martlet_cuda_stream stream)) \
  F(StreamSynchronize, cuStreamSynchronize, (martlet_cuda_stream stream)) \
  F(StreamWaitEvent, cuStreamWaitEvent, (martlet_cuda_stream stream, martlet_cuda_event event, unsigned flags)) \
  F(StreamBeginCapture, cuStreamBeginCapture_v2, (martlet_cuda_stream stream, int mode)) \
  F(StreamIsCapturing, cuStreamIsCapturing, (martlet_cuda_stream stream, int *status)) \
  F(StreamEndCapture, cuStreamEndCapture, (martlet_cuda_stream stream, martlet_cuda_graph *graph)) \
  F(EventCreate, cuEventCreate, (martlet_cuda_event *event, unsigned flags)) \
  F(EventDestroy, cuEventDestroy_v2, (martlet_cuda_event event)) \
  F(EventRecord, cuEventRecord, (martlet_cuda_event event, martlet_cuda_stream stream)) \
  F(EventSynchronize, cuEventSynchronize, (martlet_cuda_event event)) \
  F(EventElapsedTime, cuEventElapsedTime, \
    (float *milliseconds, martlet_cuda_event begin, martlet_cuda_event end)) \
  F(ModuleLoadData, cuModuleLoadData, (martlet_cuda_module *module, const void *image)) \
  F(ModuleUnload, cuModuleUnload, (martlet_cuda_module module)) \
  F(ModuleGetFunction, cuModuleGetFunction, \
    (martlet_cuda_function *function, martlet_cuda_module module, const char *name)) \
  F(FuncSetAttribute, cuFuncSetAttribute, (martlet_cuda_function function, int attribute, int value)) \
  F(LaunchKernel, cuLaunchKernel, \
    (martlet_cuda_function function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x, \
     unsigned threads_y, unsigned threads_z, unsigned shared_bytes, martlet_cuda_stream stream, void **arguments, \
     void **extra)) \
  F(GraphInstantiate, cuGraphInstantiateWithFlags, \
    (martlet_cuda_executable *executable, martlet_cuda_graph graph, unsigned long long flags)) \
  F(GraphDestroy, cuGraphDestroy, (martlet_cuda_graph graph)) \
  F(GraphExecDestroy, cuGraphExecDestroy, (martlet_cuda_executable executable)) \
  F(GraphLaunch, cuGraphLaunch, (martlet_cuda_executable executable, martlet_cuda_stream stream))

typedef struct {
#define F(member, symbol, parameters) int(*member) parameters;
  MARTLET_CUDA_DRIVER_FUNCTIONS(F)
#undef F
} martlet_cuda_driver;

/// Finds the driver's functions in a library that `dlopen` gave. Returns NULL, or the name of the first that is missing.
const char *martlet_cuda_driver_find(void *handle, martlet_cuda_driver *driver);

/// Makes a context current on this thread, if it is not. Returns 0 or an error.
int martlet_cuda_make_current(const martlet_cuda_driver *driver, martlet_cuda_context context);

#endif
