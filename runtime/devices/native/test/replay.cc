#include <cmath>
#include <cstring>
#include <memory>

#include "../src/executor.h"
#include "check.h"

namespace dino {
namespace test {
namespace {

void write(const Tensor& tensor, const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); i++) set_element(tensor, static_cast<int64_t>(i), values[i]);
}

void compare(const std::string& name, const Tensor& tensor, const Trial::Values& expected) {
  if (!check(static_cast<size_t>(tensor.elements) == expected.values.size(), name + " has another size")) return;
  for (size_t i = 0; i < expected.values.size(); i++) {
    const double a = element(tensor, static_cast<int64_t>(i)), e = expected.values[i];
    const bool close = std::fabs(a - e) <= expected.limit || a == e || (std::isnan(a) && std::isnan(e));
    if (!check(close, name + ": element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(e)))
      return;
  }
}

}  // namespace

/** Every kernel's cases on every instruction set: the oracle's results, and the same bits on 1, 2 and 3 threads. */
void test_replay(const std::vector<Trial>& trials) {
  for (const Isa& isa : instruction_sets()) {
    if (!isa.supported) continue;
    std::vector<std::unique_ptr<Engine>> engines;
    for (int threads = 1; threads <= 3; threads++) engines.push_back(std::make_unique<Engine>(threads, isa));
    for (const Trial& trial : trials) {
      const std::string name = std::string(isa.name) + " " + trial.name;
      std::vector<std::vector<char>> first;
      for (const auto& engine : engines) {
        LoadError error;
        const auto executor = Executor::load(trial.plan.data(), trial.plan.size(), State::create({}), error);
        if (!check(executor != nullptr, name + " is refused: " + error.message)) break;
        for (const Trial::Values& input : trial.inputs) write(executor->tensor(input.tensor), input.values);
        std::atomic<bool> stop{false};
        const Outcome outcome = executor->run(0, *engine, stop);
        if (!check(outcome.fault.code == FaultCode::none, name + " meets a fault")) break;
        for (size_t i = 0; i < trial.expected.size(); i++) {
          const Tensor& tensor = executor->tensor(trial.expected[i].tensor);
          const char* data = static_cast<const char*>(tensor.data);
          const size_t bytes = static_cast<size_t>(tensor.elements) * (tensor.dtype == DType::bf16 ? 2 : 4);
          if (first.size() <= i) {
            compare(name, tensor, trial.expected[i]);
            first.emplace_back(data, data + bytes);
          }
          check(std::memcmp(first[i].data(), data, bytes) == 0, name + " depends on the number of threads");
        }
      }
    }
  }
}

/**
 * Plans with a word changed are refused, or run without leaving their tensors (which sanitizers watch); so do plans
 * that are right on indices and row counts that are not.
 */
void test_corrupt(const std::vector<Trial>& trials) {
  const std::vector<Isa> sets = instruction_sets();
  for (const Isa& isa : sets) {
    if (!isa.supported) continue;
    Engine engine(2, isa);
    Random random{11};
    int64_t refused = 0, ran = 0;
    for (const Trial& trial : trials) {
      // Large cases are slow under sanitizers and no different.
      size_t elements = 0;
      for (const Trial::Values& input : trial.inputs) elements += input.values.size();
      if (elements > 40000) continue;
      for (int change = 0; change < 25; change++) {
        std::vector<double> plan = trial.plan;
        const bool values_only = change < 2;
        if (!values_only) {
          const size_t at = static_cast<size_t>(random.below(static_cast<int64_t>(plan.size())));
          double& word = plan[at];
          const double others[] = {-1, 0, 1, 2, 3, 5, 17, word + 1, word - 1, word * 2, word + 256, 0.5, std::nan(""), 1e18, 4294967296.0};
          // The last would ask for gigabytes where arenas are listed.
          word = others[random.below(at < 3 + static_cast<size_t>(plan[2]) ? 14 : 15)];
        }
        if (random.below(20) == 0) plan.resize(static_cast<size_t>(random.below(static_cast<int64_t>(plan.size()))));
        LoadError error;
        const auto executor = Executor::load(plan.data(), plan.size(), State::create({}), error);
        if (!executor) {
          check(!error.message.empty(), trial.name + " is refused without a word");
          refused++;
          continue;
        }
        for (const Trial::Values& input : trial.inputs) {
          if (input.tensor >= executor->tensors()) continue;
          const Tensor& tensor = executor->tensor(input.tensor);
          for (int64_t i = 0; i < tensor.elements; i++) {
            const double whole = static_cast<double>(values_only ? random.below(2000) - 1000 : random.below(4));
            set_element(tensor, i, tensor.dtype == DType::i32 ? whole : random.uniform());
          }
        }
        std::atomic<bool> stop{false};
        if (executor->programs() > 0) executor->run(0, engine, stop);
        ran++;
      }
    }
    std::printf("%s: of plans with a fault %lld refused, %lld run\n", isa.name, static_cast<long long>(refused), static_cast<long long>(ran));
    check(refused > ran / 4, "corrupt plans are refused");
  }
}

}  // namespace test
}  // namespace dino
