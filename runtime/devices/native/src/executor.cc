#include "executor.h"

#include <chrono>
#include <new>

namespace dino {

std::shared_ptr<State> State::create(const std::vector<StateTensor>& tensors) {
  auto state = std::make_shared<State>();
  state->tensors_ = tensors;
  size_t bytes = 0;
  for (const StateTensor& t : tensors) {
    state->offsets_.push_back(bytes);
    bytes += (static_cast<size_t>(t.elements) * 4 + 255) / 256 * 256;
  }
  state->block_ = Block(bytes);
  return state->block_.data() ? state : nullptr;
}

std::unique_ptr<Executor> Executor::load(const double* words, size_t count, std::shared_ptr<State> state, LoadError& error) {
  using Reason = LoadError::Reason;
  std::unique_ptr<Executor> self(new Executor);
  if (!decode_plan(words, count, self->plan_, error)) return nullptr;
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

int64_t Executor::arena_bytes() const {
  int64_t bytes = 0;
  for (int64_t arena : plan_.arenas) bytes += arena;
  return bytes;
}

Outcome Executor::run(size_t program, Engine& engine, const std::atomic<bool>& stop) {
  using Clock = std::chrono::steady_clock;
  Outcome outcome;
  std::vector<Step>& steps = programs_[program];
  Clock::time_point before = Clock::now();
  for (size_t i = 0; i < steps.size(); i++) {
    Step& step = steps[i];
    if (stop.load(std::memory_order_relaxed)) {
      outcome.fault.code = FaultCode::stopped;
      outcome.step = static_cast<int64_t>(i);
      return outcome;
    }
    engine.workspace.reset();
    const Call call{step.in.data(),
                    step.out.data(),
                    step.attributes.data(),
                    static_cast<int>(step.in.size()),
                    static_cast<int>(step.out.size()),
                    static_cast<int>(step.attributes.size()),
                    &engine.workspace,
                    &engine.pool,
                    &outcome.fault};
    try {
      engine.isa.kernels[static_cast<int>(step.kind)](call);
    } catch (const std::bad_alloc&) {
      outcome.fault.code = FaultCode::memory;
    }
    const Clock::time_point after = Clock::now();
    step.seconds += std::chrono::duration<double>(after - before).count();
    before = after;
    if (outcome.fault.code == FaultCode::none) continue;
    outcome.step = static_cast<int64_t>(i);
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
