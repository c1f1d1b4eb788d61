#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "isa.h"
#include "memory.h"
#include "plan.h"
#include "rank-group.h"
#include "thread-pool.h"

namespace dino {

/** What steps run on: threads, an instruction set and scratch memory. One thread at a time uses it. */
class Engine {
 public:
  Engine(int threads, const Isa& isa) : pool(threads), isa(isa) {}
  Pool pool;
  Workspace workspace;
  const Isa isa;
};

struct StateTensor {
  DType dtype;
  int64_t elements;
};

/** Tensors that outlive executors, zeroed at first. */
class State {
 public:
  /** Null where memory does not suffice. */
  static std::shared_ptr<State> create(const std::vector<StateTensor>& tensors);

  const std::vector<StateTensor>& tensors() const { return tensors_; }
  char* data(size_t i) const { return block_.data() + offsets_[i]; }

 private:
  std::vector<StateTensor> tensors_;
  std::vector<size_t> offsets_;
  Block block_;
};

/** How a run ended. `step` is the one that met the fault. */
struct Outcome {
  Fault fault{FaultCode::none, 0, 0, 0};
  int64_t step = -1;
};

/** A place among the ranks that run one plan. */
struct Membership {
  std::shared_ptr<RankGroup> group;
  int rank;
};

/** A plan bound to a state, with arenas of its own; one rank's where several run it. */
class Executor {
 public:
  /** Null where the plan does not hold up; `error` then says why. Without a group it is the only rank. */
  static std::unique_ptr<Executor> load(const double* words, size_t count, std::shared_ptr<State> state, LoadError& error,
                                        Membership member = {std::make_shared<RankGroup>(1), 0});
  /** No other rank waits for it any more. */
  ~Executor() { member_.group->stop(); }

  /** Runs a program. Stops before the next step once `stop` is set; whoever sets it also stops the group. */
  Outcome run(size_t program, Engine& engine, const std::atomic<bool>& stop);

  size_t programs() const { return programs_.size(); }
  size_t tensors() const { return tensors_.size(); }
  const Tensor& tensor(size_t i) const { return tensors_[i]; }
  int64_t arena_bytes() const;
  /** Seconds of each step of a program since the last call. */
  std::vector<double> take_seconds(size_t program);
  /** Bytes exchanged since it was loaded, by kind of collective in the order of kinds.h. */
  std::vector<int64_t> collective_bytes() const { return collective_bytes_; }

 private:
  struct Step {
    Kind kind;
    std::vector<const Tensor*> in, out;
    std::vector<double> attributes;
    double seconds = 0;
  };

  explicit Executor(Membership member) : member_(std::move(member)) {}

  bool check_ranks(LoadError& error) const;
  void run_step(const Step& step, Engine& engine, Fault& fault);

  const Membership member_;
  std::vector<int64_t> collective_bytes_ = std::vector<int64_t>(collective_kind_count);
  Plan plan_;
  std::shared_ptr<State> state_;
  std::vector<Block> arenas_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<Step>> programs_;
};

}  // namespace dino
