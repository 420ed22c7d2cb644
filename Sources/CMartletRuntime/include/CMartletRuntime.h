/// The C side of Martlet: libraries that are loaded at run time, the worker team, and frame-pointer walks.
///
/// No header here carries nullability annotations: they would turn into warnings, and those into errors, in the Swift
/// targets above. A pointer is never NULL unless its comment says so.
#ifndef MARTLET_RUNTIME_H
#define MARTLET_RUNTIME_H

#include "BLAS.h"
#include "BuildSite.h"
#include "CUDADriver.h"
#include "CuDNN.h"
#include "CublasLt.h"
#include "DNN.h"
#include "Kernel.h"
#include "LLVM.h"
#include "LLVMFunctions.h"
#include "Library.h"
#include "Machine.h"
#include "NVRTC.h"
#include "Scores.h"
#include "Team.h"
#include "Tile.h"
#include "Zlib.h"

#endif
