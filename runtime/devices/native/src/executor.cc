#include "executor.h"

#include <chrono>
#include <new>

#include "collectives.h"

namespace dino {

std::shared_ptr<State> State::create(const std::vector<StateTensor>& tensors) {
  auto state = std::make_shared<State>();
  state->tensors_ = tensors;
  size_t bytes = 0;
  constexpr int64_t most = int64_t{1} << 46;  // more than there is memory, and sums of it do not wrap
  for (const StateTensor& t : tensors) {
    if (t.elements < 0 || t.elements > most || bytes > size_t{most}) return nullptr;
    state->offsets_.push_back(bytes);
    bytes += (static_cast<size_t>(t.elements) * 4 + 255) / 256 * 256;
  }
  state->block_ = Block(bytes);
  return state->block_.data() ? state : nullptr;
}

std::unique_ptr<Executor> Executor::load(const double* words, size_t count, std::shared_ptr<State> state, LoadError& error,
                                         Membership member) {
  using Reason = LoadError::Reason;
  std::unique_ptr<Executor> self(new Executor(std::move(member)));
  if (!decode_plan(words, count, self->plan_, error) || !self->check_ranks(error)) return nullptr;
  self->state_ = std::move(state);
  for (int64_t bytes : self->plan_.arenas) {
    self->arenas_.emplace_back(static_cast<size_t>(bytes));
    if (self->arenas_.back().data()) continue;
    error.reason = Reason::memory;
    error.message = "needs an arena of " + std::to_string(bytes) + " bytes, more than there is memory";
    return nullptr;
  }
  for (const PlanTensor& t : self->plan_.tensors) {
    Tensor& tensor = self->tensors_.emplace_back();
    tensor.dtype = t.dtype;
    tensor.rank = static_cast<int>(t.shape.size());
    for (size_t i = 0; i < t.shape.size(); i++) tensor.shape[i] = t.shape[i];
    tensor.elements = t.elements();
    tensor.group_count = static_cast<int>(t.groups.size());
    tensor.groups = t.groups.data();
    if (!t.in_state) {
      tensor.data = self->arenas_[static_cast<size_t>(t.arena)].data() + t.offset;
      continue;
    }
    const size_t index = static_cast<size_t>(t.arena);
    if (index >= self->state_->tensors().size() || self->state_->tensors()[index].dtype != t.dtype ||
        self->state_->tensors()[index].elements != tensor.elements) {
      error.reason = Reason::placement;
      error.message = "has another size or dtype than the state tensor of its name";
      error.tensor = static_cast<int64_t>(self->tensors_.size()) - 1;
      return nullptr;
    }
    tensor.data = self->state_->data(index);
  }
  for (const PlanProgram& program : self->plan_.programs) {
    std::vector<Step>& steps = self->programs_.emplace_back();
    for (const PlanStep& from : program.steps) {
      Step& step = steps.emplace_back();
      step.kind = from.kind;
      for (int64_t id : from.operands) step.in.push_back(id < 0 ? nullptr : &self->tensors_[static_cast<size_t>(id)]);
      for (int64_t id : from.results) step.out.push_back(&self->tensors_[static_cast<size_t>(id)]);
      step.attributes = from.attributes;
    }
  }
  return self;
}

/** Every collective is one of as many ranks as the group has. */
bool Executor::check_ranks(LoadError& error) const {
  const int ranks = member_.group->ranks();
  for (size_t p = 0; p < plan_.programs.size(); p++)
    for (size_t s = 0; s < plan_.programs[p].steps.size(); s++) {
      const PlanStep& step = plan_.programs[p].steps[s];
      if (!is_collective(step.kind) || step.attributes[0] == ranks) continue;
      error.reason = LoadError::Reason::unsupported;
      error.message = "is one of " + std::to_string(static_cast<int>(step.attributes[0])) + " ranks, and the plan is loaded for " + std::to_string(ranks);
      error.program = static_cast<int64_t>(p);
      error.step = static_cast<int64_t>(s);
      return false;
    }
  return true;
}

int64_t Executor::arena_bytes() const {
  int64_t bytes = 0;
  for (int64_t arena : plan_.arenas) bytes += arena;
  return bytes;
}

void Executor::run_step(const Step& step, Engine& engine, Fault& fault) {
  engine.workspace.reset();
  const Call call{step.in.data(),
                  step.out.data(),
                  step.attributes.data(),
                  static_cast<int>(step.in.size()),
                  static_cast<int>(step.out.size()),
                  static_cast<int>(step.attributes.size()),
                  &engine.workspace,
                  &engine.pool,
                  &fault};
  try {
    if (!is_collective(step.kind)) return engine.isa.kernels[static_cast<int>(step.kind)](call);
    run_collective(step.kind, call, *member_.group, member_.rank);
    if (fault.code == FaultCode::none)
      collective_bytes_[static_cast<size_t>(step.kind) - local_kind_count] += payload_bytes(step.kind, call);
  } catch (const std::bad_alloc&) {
    fault.code = FaultCode::memory;
  }
}

Outcome Executor::run(size_t program, Engine& engine, const std::atomic<bool>& stop) {
  using Clock = std::chrono::steady_clock;
  Outcome outcome;
  std::vector<Step>& steps = programs_[program];
  Clock::time_point before = Clock::now();
  for (size_t i = 0; i < steps.size(); i++) {
    Step& step = steps[i];
    if (stop.load(std::memory_order_relaxed))
      outcome.fault.code = FaultCode::stopped;
    else
      run_step(step, engine, outcome.fault);
    const Clock::time_point after = Clock::now();
    step.seconds += std::chrono::duration<double>(after - before).count();
    before = after;
    if (outcome.fault.code == FaultCode::none) continue;
    // A wait that closing the device ended.
    if (outcome.fault.code == FaultCode::rank_stopped && stop.load()) outcome.fault.code = FaultCode::stopped;
    outcome.step = static_cast<int64_t>(i);
    member_.group->stop();
    return outcome;
  }
  return outcome;
}

std::vector<double> Executor::take_seconds(size_t program) {
  std::vector<double> seconds;
  for (Step& step : programs_[program]) {
    seconds.push_back(step.seconds);
    step.seconds = 0;
  }
  return seconds;
}

}  // namespace dino
