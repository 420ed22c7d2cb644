#pragma once

#include <stdint.h>

/// The number of return addresses that a walk records.
#define MARTLET_FRAME_CAPACITY 12

/// Return addresses, innermost first; zero after the last.
typedef struct {
  uintptr_t address[MARTLET_FRAME_CAPACITY];
} MartletFrames;

/// Walks the frame pointers of the calling thread and returns the return addresses it meets, leaving out the one into the
/// caller and `skip` more. Only reads within the bounds of the thread's stack.
MartletFrames martlet_capture_frames(int skip);

/// The path of the loaded module that contains an address, `/proc/self/exe` for the program itself, or NULL if no module
/// does. Through `bias` comes what is to be subtracted from an address to get the one that the module's file uses.
const char *martlet_module_at(uintptr_t address, uintptr_t *bias);
