/// The C side of Martlet: libraries that are loaded at run time, and the worker team.
///
/// No header here carries nullability annotations: they would turn into warnings, and those into errors, in the Swift
/// targets above. A pointer is never NULL unless its comment says so.
#ifndef MARTLET_RUNTIME_H
#define MARTLET_RUNTIME_H

#include "BLAS.h"
#include "Kernel.h"
#include "Library.h"
#include "Machine.h"
#include "Team.h"

#endif
