#include "rank-group.h"

#include "relax.h"

namespace dino {
namespace {

bool same_sizes(const Tensor* const* a, const Tensor* const* b, int count) {
  for (int i = 0; i < count; i++)
    if (a[i]->dtype != b[i]->dtype || a[i]->elements != b[i]->elements) return false;
  return true;
}

bool same_step(const Call& a, const Call& b) {
  if (a.in_count != b.in_count || a.out_count != b.out_count || a.attr_count != b.attr_count) return false;
  for (int i = 0; i < a.attr_count; i++)
    if (a.attr[i] != b.attr[i]) return false;
  return same_sizes(a.in, b.in, a.in_count) && same_sizes(a.out, b.out, a.out_count);
}

}  // namespace

bool RankGroup::meet(int rank, Kind kind, const Call& call) {
  shown_[static_cast<size_t>(rank)] = Shown{kind, &call};
  return arrive(true);
}

void RankGroup::pass() { arrive(false); }

bool RankGroup::agrees() const {
  for (const Shown& shown : shown_)
    if (shown.kind != shown_[0].kind || !same_step(*shown.call, *shown_[0].call)) return false;
  return true;
}

bool RankGroup::arrive(bool may_stop) {
  if (ranks_ == 1) return true;
  const uint64_t generation = generation_.load(std::memory_order_acquire);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (may_stop && stopped_) return false;
    if (++arrived_ == ranks_) {
      arrived_ = 0;
      generation_.store(generation + 1, std::memory_order_release);
      wake_.notify_all();
      return true;
    }
  }
  for (int spins = 0; spins < spins_before_sleep; spins++) {
    if (generation_.load(std::memory_order_acquire) != generation) return true;
    relax();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  const auto complete = [&] { return generation_.load(std::memory_order_acquire) != generation; };
  wake_.wait(lock, [&] { return complete() || (may_stop && stopped_); });
  return complete();
}

void RankGroup::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
}

}  // namespace dino
