#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "tensor.h"

namespace dino {

/**
 * `threads` threads, the caller's own included. A job is a number of tasks that threads draw from one counter; which
 * thread runs a task is left open, so tasks must not depend on it for anything but scratch memory. Workers spin for
 * some microseconds between jobs and then sleep; a worker that wakes late finds no task left and is not waited for.
 * One thread at a time calls `run`.
 */
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  void run(int64_t tasks, void (*fn)(void*, int64_t, int), void* context);

 private:
  using Function = void (*)(void*, int64_t, int);

  void worker(int thread);
  void work(uint64_t generation, int thread);

  // Generation in the upper half, next task in the lower. An odd generation is closed: no task may be drawn. A
  // worker that holds an old generation fails its compare-exchange, so it can never draw from a later job with the
  // function of an earlier one.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<Function> fn_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<int64_t> tasks_{0};
  std::atomic<int64_t> done_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace dino
