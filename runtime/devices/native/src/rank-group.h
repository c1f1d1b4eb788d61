#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "kinds.h"
#include "tensor.h"

namespace dino {

/**
 * Where the ranks of one plan meet, each on a thread of its own. At a collective every rank shows its step and waits
 * for the others; from then on until all have passed once more, each reads what the others showed. A rank that stops,
 * for whatever reason, says so, and nobody waits for it: the group has ended. Only the first wait of a collective can
 * fail. Those who got beyond it all come to its end, so that no rank lets go of memory that another still reads.
 */
class RankGroup {
 public:
  explicit RankGroup(int ranks) : ranks_(ranks), shown_(static_cast<size_t>(ranks)) {}
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  int ranks() const { return ranks_; }

  /** Shows a step and waits for those of all ranks; false once a rank has stopped. */
  bool meet(int rank, Kind kind, const Call& call);
  /** What a rank shows: between `meet` and the `pass` that ends the collective. */
  const Call& shown(int rank) const { return *shown_[static_cast<size_t>(rank)].call; }
  /** Whether all show the same step of operands and results of the same sizes. All ranks get the same answer. */
  bool agrees() const;
  /** Waits for all ranks; they have met and are on their way. */
  void pass();
  /** A rank will not come any more. */
  void stop();

 private:
  struct Shown {
    Kind kind;
    const Call* call = nullptr;
  };

  bool arrive(bool may_stop);

  const int ranks_;
  std::vector<Shown> shown_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int arrived_ = 0;
  bool stopped_ = false;
  // Counts the times that all have arrived. It cannot go on while a rank that read it has yet to arrive.
  std::atomic<uint64_t> generation_{0};
};

}  // namespace dino
