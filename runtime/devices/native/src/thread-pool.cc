#include "thread-pool.h"

#include "relax.h"

namespace dino {
namespace {

constexpr uint64_t low = 0xffffffffu;

uint64_t generation_of(uint64_t ticket) { return ticket >> 32; }

}  // namespace

int pool_threads(const Pool& pool) { return pool.threads(); }

void pool_run(Pool& pool, int64_t tasks, void (*fn)(void*, int64_t, int), void* context) {
  pool.run(tasks, fn, context);
}

Pool::Pool(int threads) {
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { worker(i); });
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void Pool::run(int64_t tasks, Function fn, void* context) {
  if (tasks <= 1 || workers_.empty()) {
    for (int64_t i = 0; i < tasks; i++) fn(context, i, 0);
    return;
  }
  const uint64_t closed = generation_of(ticket_.load()) + 1;
  ticket_.store(closed << 32);
  fn_.store(fn, std::memory_order_release);
  context_.store(context, std::memory_order_release);
  tasks_.store(tasks, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  const uint64_t open = (closed + 1) & low;
  ticket_.store(open << 32);
  if (sleepers_.load() > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  work(open, 0);
  for (int spins = 0; done_.load(std::memory_order_acquire) != tasks; spins++) {
    if (spins < spins_before_sleep)
      relax();
    else
      std::this_thread::yield();
  }
}

void Pool::work(uint64_t generation, int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (generation_of(ticket) == generation) {
    const Function fn = fn_.load(std::memory_order_acquire);
    void* const context = context_.load(std::memory_order_acquire);
    const int64_t tasks = tasks_.load(std::memory_order_acquire);
    const int64_t task = static_cast<int64_t>(ticket & low);
    if (task >= tasks) return;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    fn(context, task, thread);
    done_.fetch_add(1, std::memory_order_acq_rel);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Pool::worker(int thread) {
  uint64_t seen = 0;
  int spins = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint64_t generation = generation_of(ticket_.load(std::memory_order_acquire));
    if (generation != seen && (generation & 1) == 0) {
      seen = generation;
      spins = 0;
      work(generation, thread);
      continue;
    }
    if (++spins < spins_before_sleep) {
      relax();
      continue;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, [&] { return stop_.load() || generation_of(ticket_.load()) != seen; });
    sleepers_.fetch_sub(1);
    spins = 0;
  }
}

}  // namespace dino
