#include "scratch.h"

namespace dino {

size_t view_scratch(const View& view) { return scratch_of(view).bytes; }

}  // namespace dino
