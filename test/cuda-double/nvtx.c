/* A double of NVTX: counts ranges. Like the real one, it has no effect on a program. */
#include "double.h"

#include <string.h>

static uint64_t started, open;

EXPORT uint64_t nvtxRangeStartA(const char *name) {
  if (name == NULL || strncmp(name, "auxstream", 9) != 0) return 0;
  open++;
  return ++started;
}

EXPORT void nvtxRangeEnd(uint64_t id) {
  if (id != 0 && id <= started) open--;
}

/* The ranges so far, and those that have not ended. */
EXPORT double double_ranges(int opened) { return (double)(opened ? open : started); }
