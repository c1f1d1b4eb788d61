#include "../src/thread-pool.h"

#include <memory>

#include "check.h"

namespace dino {
namespace test {

/** Jobs of many sizes, one after another: each task runs exactly once, on a thread that there is. */
void test_pool() {
  for (int threads = 1; threads <= 4; threads++) {
    Pool pool(threads);
    Random random{static_cast<uint64_t>(threads)};
    for (int job = 0; job < 2000; job++) {
      struct Context {
        std::vector<int> runs;
        std::atomic<bool> strange{false};
        int threads;
      } context;
      context.runs.resize(static_cast<size_t>(random.below(job % 10 == 0 ? 300 : 6)));
      context.threads = threads;
      pool.run(
          static_cast<int64_t>(context.runs.size()),
          [](void* data, int64_t task, int thread) {
            Context& context = *static_cast<Context*>(data);
            context.runs[static_cast<size_t>(task)]++;
            if (thread < 0 || thread >= context.threads) context.strange = true;
          },
          &context);
      bool once = !context.strange;
      for (int n : context.runs) once = once && n == 1;
      check(once, "pool: each task runs once, job " + std::to_string(job));
    }
  }
}

}  // namespace test
}  // namespace dino
