#include "table.h"

namespace dino {
namespace DINO_ISA {

extern const Kernel kernel_table[local_kind_count];
const Kernel kernel_table[local_kind_count] = {
#define X(name) name,
    DINO_LOCAL_KINDS(X)
#undef X
};

}  // namespace DINO_ISA
}  // namespace dino
