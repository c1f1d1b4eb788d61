#include "isa.h"

namespace dino {

#if defined(DINO_X86)
namespace avx512bf16 {
extern const Kernel kernel_table[local_kind_count];
}
namespace avx512 {
extern const Kernel kernel_table[local_kind_count];
void view(const View&);
}
namespace avx2 {
extern const Kernel kernel_table[local_kind_count];
void view(const View&);
}
#endif
namespace portable {
extern const Kernel kernel_table[local_kind_count];
void view(const View&);
}

std::vector<Isa> instruction_sets() {
  std::vector<Isa> sets;
#if defined(DINO_X86)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  sets.push_back(Isa{"avx512bf16", "AVX-512 with bf16", bf16, avx512bf16::kernel_table, avx512::view});
  sets.push_back(Isa{"avx512", "AVX-512", avx512, avx512::kernel_table, avx512::view});
  sets.push_back(Isa{"avx2", "AVX2", avx2, avx2::kernel_table, avx2::view});
  sets.push_back(Isa{"portable", "SSE2", true, portable::kernel_table, portable::view});
#elif defined(__aarch64__)
  sets.push_back(Isa{"portable", "NEON", true, portable::kernel_table, portable::view});
#else
  sets.push_back(Isa{"portable", "portable vectors", true, portable::kernel_table, portable::view});
#endif
  return sets;
}

}  // namespace dino
