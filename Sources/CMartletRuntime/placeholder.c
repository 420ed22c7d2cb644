#include "CMartletRuntime.h"
