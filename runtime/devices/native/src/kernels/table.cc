#include "table.h"

namespace dino {
namespace DINO_ISA {

extern const Kernel kernel_table[kind_count];
const Kernel kernel_table[kind_count] = {
#define X(name) name,
    DINO_KERNEL_KINDS(X)
#undef X
};

}  // namespace DINO_ISA
}  // namespace dino
