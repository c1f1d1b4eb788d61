#include <chrono>
#include <memory>
#include <thread>

#include "../src/executor.h"
#include "check.h"

namespace dino {
namespace test {
namespace {

constexpr int64_t large = 70001, small = 5;

struct PlanWords {
  std::vector<double> arenas, tensors, steps;
  int tensor_count = 0, step_count = 0;

  double tensor(int64_t elements) {
    arenas.push_back(static_cast<double>(elements * 4));
    for (double word : {0.0, 1.0, static_cast<double>(elements), 0.0, 0.0, static_cast<double>(tensor_count), 0.0}) tensors.push_back(word);
    return tensor_count++;
  }
  void step(Kind kind, const std::vector<double>& in, const std::vector<double>& out, const std::vector<double>& attributes) {
    steps.push_back(static_cast<double>(kind));
    for (const auto* list : {&in, &out, &attributes}) {
      steps.push_back(static_cast<double>(list->size()));
      steps.insert(steps.end(), list->begin(), list->end());
    }
    step_count++;
  }
  std::vector<double> words() const {
    std::vector<double> all{plan_magic, plan_encoding, static_cast<double>(arenas.size())};
    all.insert(all.end(), arenas.begin(), arenas.end());
    all.push_back(tensor_count);
    all.insert(all.end(), tensors.begin(), tensors.end());
    all.insert(all.end(), {1.0, static_cast<double>(step_count)});
    all.insert(all.end(), steps.begin(), steps.end());
    return all;
  }
};

/** x [large] and y [small] summed over ranks; x scattered, the parts gathered again; y's mean. */
struct Plan {
  explicit Plan(double ranks) {
    PlanWords plan;
    const int64_t part = (large + static_cast<int64_t>(ranks) - 1) / static_cast<int64_t>(ranks);
    x = plan.tensor(large), y = plan.tensor(small), sum = plan.tensor(large), small_sum = plan.tensor(small);
    own = plan.tensor(part), gathered = plan.tensor(large), mean = plan.tensor(small);
    plan.step(Kind::all_reduce, {x, y}, {sum, small_sum}, {ranks, 0, 0});
    plan.step(Kind::reduce_scatter, {x}, {own}, {ranks});
    plan.step(Kind::all_gather, {own}, {gathered}, {ranks});
    plan.step(Kind::all_reduce, {y}, {mean}, {ranks, 1, 0});
    words = plan.words();
  }
  double x, y, sum, small_sum, own, gathered, mean;
  std::vector<double> words;
};

struct Rank {
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Engine> engine;
  std::atomic<bool> stop{false};
  const Tensor& tensor(double i) const { return executor->tensor(static_cast<size_t>(i)); }
};

std::vector<std::unique_ptr<Rank>> start(const Plan& plan, const std::shared_ptr<RankGroup>& group, int threads) {
  const Isa isa = instruction_sets().back();
  std::vector<std::unique_ptr<Rank>> all;
  for (int rank = 0; rank < group->ranks(); rank++) {
    auto one = std::make_unique<Rank>();
    LoadError error;
    one->executor = Executor::load(plan.words.data(), plan.words.size(), State::create({}), error, Membership{group, rank});
    if (!check(one->executor != nullptr, "a plan of ranks is refused: " + error.message)) return {};
    one->engine = std::make_unique<Engine>(threads, isa);
    all.push_back(std::move(one));
  }
  return all;
}

template <class Body>
void each(const std::vector<std::unique_ptr<Rank>>& ranks, const Body& body) {
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks.size(); rank++) threads.emplace_back([&, rank] { body(*ranks[rank], static_cast<int>(rank)); });
  for (std::thread& thread : threads) thread.join();
}

/** Whole numbers, which any order of additions sums alike. */
double value(int rank, int round, int64_t i) { return static_cast<double>((i * (rank + 1) + round) % 1000); }

bool exchanged(const Plan& plan, const Rank& rank, int ranks, int round) {
  for (int64_t i = 0; i < large; i++) {
    double total = 0;
    for (int r = 0; r < ranks; r++) total += value(r, round, i);
    if (element(rank.tensor(plan.sum), i) != total || element(rank.tensor(plan.gathered), i) != total) return false;
    if (i >= small) continue;
    if (element(rank.tensor(plan.small_sum), i) != total) return false;
    if (element(rank.tensor(plan.mean), i) != static_cast<double>(static_cast<float>(total) / static_cast<float>(ranks))) return false;
  }
  return true;
}

void test_exchange() {
  for (int ranks = 1; ranks <= 4; ranks++) {
    const Plan plan(ranks);
    const int rounds = 6;
    const auto all = start(plan, std::make_shared<RankGroup>(ranks), 2);
    std::atomic<int> right{0};
    each(all, [&](Rank& one, int rank) {
      for (int round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < large; i++) set_element(one.tensor(plan.x), i, value(rank, round, i));
        for (int64_t i = 0; i < small; i++) set_element(one.tensor(plan.y), i, value(rank, round, i));
        const Outcome outcome = one.executor->run(0, *one.engine, one.stop);
        if (outcome.fault.code == FaultCode::none && exchanged(plan, one, ranks, round)) right++;
      }
    });
    check(right == ranks * rounds, std::to_string(ranks) + " ranks exchange: " + std::to_string(right) + " of " + std::to_string(ranks * rounds) + " runs right");
  }
}

/** One rank ends in the midst of the others' runs, its memory with it: all come to an end, and none reads what is gone. */
void test_leaving() {
  Random random{5};
  for (int round = 0; round < 60; round++) {
    const int ranks = 2 + round % 3;
    const Plan plan(ranks);
    const auto all = start(plan, std::make_shared<RankGroup>(ranks), 1 + round % 2);
    const int leaver = static_cast<int>(random.below(ranks)), runs = static_cast<int>(random.below(5));
    const bool by_flag = round % 2 == 0;
    std::atomic<int> stopped{0};
    each(all, [&](Rank& one, int rank) {
      for (int run = 0; rank != leaver || run < runs; run++) {
        const FaultCode code = one.executor->run(0, *one.engine, one.stop).fault.code;
        if (code == FaultCode::none) continue;
        if (code == FaultCode::rank_stopped) stopped++;
        break;
      }
      if (rank == leaver && by_flag) {
        one.stop = true;
        check(one.executor->run(0, *one.engine, one.stop).fault.code == FaultCode::stopped, "a rank told to stop stops");
      }
      one.executor.reset();
    });
    check(stopped == ranks - 1, "ranks whose peer leaves stop");
  }
}

/** Ended from outside wherever they are, even within a collective, each rank takes its memory with it at once. */
void test_ending() {
  for (int round = 0; round < 60; round++) {
    const int ranks = 2 + round % 3;
    const Plan plan(ranks);
    const auto group = std::make_shared<RankGroup>(ranks);
    const auto all = start(plan, group, 1);
    std::atomic<int> begun{0};
    std::thread ends([&] {
      while (begun < ranks) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
      group->stop();
    });
    each(all, [&](Rank& one, int) {
      begun++;
      FaultCode code = FaultCode::none;
      while (code == FaultCode::none) code = one.executor->run(0, *one.engine, one.stop).fault.code;
      check(code == FaultCode::rank_stopped, "a group that is ended ends its ranks");
      one.executor.reset();
    });
    ends.join();
  }
}

/** From another thread, as a device is closed: whoever waits for a rank that never comes is woken. */
void test_waking() {
  for (int round = 0; round < 20; round++) {
    const Plan plan(2);
    const auto group = std::make_shared<RankGroup>(2);
    LoadError error;
    const auto executor = Executor::load(plan.words.data(), plan.words.size(), State::create({}), error, Membership{group, 0});
    Engine engine(1, instruction_sets().back());
    std::atomic<bool> stop{false};
    FaultCode code = FaultCode::none;
    std::thread waits([&] { code = executor->run(0, engine, stop).fault.code; });
    if (round % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (round % 4 < 2) stop = true;
    group->stop();
    waits.join();
    check(code == (round % 4 < 2 ? FaultCode::stopped : FaultCode::rank_stopped), "a rank that waits is woken");
  }
}

}  // namespace

void test_ranks() {
  test_exchange();
  test_leaving();
  test_ending();
  test_waking();
}

}  // namespace test
}  // namespace dino
