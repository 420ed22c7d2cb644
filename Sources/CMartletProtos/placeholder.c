#include "CMartletProtos.h"
