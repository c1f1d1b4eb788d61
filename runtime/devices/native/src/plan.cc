#include "plan.h"

namespace dino {
namespace {

constexpr int64_t most_bytes = int64_t{1} << 46;

/** Reads whole numbers within bounds; after the first that is not, everything reads as the lower bound. */
class Reader {
 public:
  Reader(const double* words, size_t count) : at_(words), end_(words + count) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }

  double real() {
    if (at_ == end_) {
      ok_ = false;
      return 0;
    }
    return *at_++;
  }

  int64_t integer(int64_t low, int64_t high) {
    const double word = real();
    if (!ok_ || !(word >= static_cast<double>(low) && word <= static_cast<double>(high)) ||
        word != static_cast<double>(static_cast<int64_t>(word))) {
      ok_ = false;
      return low;
    }
    return static_cast<int64_t>(word);
  }

  /** A number of things that follow, each at least `words` long. */
  int64_t count(int64_t words = 1) { return integer(0, (end_ - at_) / words); }

 private:
  const double* at_;
  const double* end_;
  bool ok_ = true;
};

void read_tensor(Reader& in, PlanTensor& t) {
  t.dtype = static_cast<DType>(in.integer(0, 2));
  const int64_t rank = in.integer(0, max_rank);
  for (int64_t i = 0; i < rank; i++) t.shape.push_back(in.integer(0, int64_t{1} << 31));
  const int64_t groups = in.count(2);
  for (int64_t i = 0; i < groups && in.ok(); i++) {
    const int64_t count = in.integer(0, int64_t{1} << 31);
    t.groups.push_back(Group{count, in.integer(0, int64_t{1} << 31)});
  }
  t.in_state = in.integer(0, 1) == 1;
  t.arena = in.integer(0, int64_t{1} << 31);
  t.offset = in.integer(0, most_bytes);
}

void read_step(Reader& in, PlanStep& step) {
  step.kind = static_cast<Kind>(in.integer(0, kind_count - 1));
  for (int64_t n = in.count(); n > 0 && in.ok(); n--) step.operands.push_back(in.integer(-1, int64_t{1} << 31));
  for (int64_t n = in.count(); n > 0 && in.ok(); n--) step.results.push_back(in.integer(0, int64_t{1} << 31));
  for (int64_t n = in.count(); n > 0 && in.ok(); n--) step.attributes.push_back(in.real());
}

bool fail(LoadError& error, LoadError::Reason reason, std::string message, int64_t tensor = -1) {
  error.reason = reason;
  error.message = std::move(message);
  error.tensor = tensor;
  return false;
}

bool check_tensor(const Plan& plan, const PlanTensor& t, int64_t id, LoadError& error) {
  using Reason = LoadError::Reason;
  double bytes = 4;
  for (int64_t size : t.shape) bytes *= static_cast<double>(size);
  if (bytes > static_cast<double>(most_bytes)) return fail(error, Reason::placement, "is too large to address", id);
  if (!t.shape.empty() && t.shape[0] > 0x7fffffff) return fail(error, Reason::unsupported, "has more than 2^31 rows", id);
  if (!t.groups.empty()) {
    double rows = 0;
    for (const Group& g : t.groups) rows += static_cast<double>(g.count) * static_cast<double>(g.length);
    if (t.shape.empty() || rows != static_cast<double>(t.shape[0]))
      return fail(error, Reason::placement, "has segments that do not add up to its rows", id);
  }
  if (t.in_state) return true;
  if (t.arena >= static_cast<int64_t>(plan.arenas.size()))
    return fail(error, Reason::placement, "lies in arena " + std::to_string(t.arena) + " of " + std::to_string(plan.arenas.size()), id);
  const int64_t arena = plan.arenas[static_cast<size_t>(t.arena)];
  if (t.offset % 256 != 0)
    return fail(error, Reason::placement, "begins at byte " + std::to_string(t.offset) + ", which is no multiple of 256", id);
  if (t.offset + t.bytes() > arena)
    return fail(error, Reason::placement,
                "ends at byte " + std::to_string(t.offset + t.bytes()) + " of an arena of " + std::to_string(arena), id);
  return true;
}

}  // namespace

int64_t PlanTensor::elements() const {
  int64_t n = 1;
  for (int64_t size : shape) n *= size;
  return n;
}

bool decode_plan(const double* words, size_t count, Plan& plan, LoadError& error) {
  using Reason = LoadError::Reason;
  Reader in(words, count);
  if (in.real() != plan_magic || in.real() != plan_encoding)
    return fail(error, Reason::malformed, "is not a plan in this version's encoding");
  for (int64_t n = in.count(); n > 0 && in.ok(); n--) plan.arenas.push_back(in.integer(0, most_bytes));
  for (int64_t n = in.count(6); n > 0 && in.ok(); n--) read_tensor(in, plan.tensors.emplace_back());
  for (int64_t n = in.count(); n > 0 && in.ok(); n--) {
    PlanProgram& program = plan.programs.emplace_back();
    for (int64_t steps = in.count(4); steps > 0 && in.ok(); steps--) read_step(in, program.steps.emplace_back());
  }
  if (!in.ok() || !in.done()) return fail(error, Reason::malformed, "is cut short or holds a number out of range");

  const int64_t tensors = static_cast<int64_t>(plan.tensors.size());
  for (int64_t id = 0; id < tensors; id++)
    if (!check_tensor(plan, plan.tensors[static_cast<size_t>(id)], id, error)) return false;
  for (size_t p = 0; p < plan.programs.size(); p++)
    for (size_t s = 0; s < plan.programs[p].steps.size(); s++) {
      const PlanStep& step = plan.programs[p].steps[s];
      std::string message;
      bool known = true;
      for (int64_t id : step.operands) known = known && id < tensors;
      for (int64_t id : step.results) known = known && id < tensors;
      if (!known) message = "names a tensor that is not there";
      if (known && check_step(plan, step, message)) continue;
      error.program = static_cast<int64_t>(p);
      error.step = static_cast<int64_t>(s);
      return fail(error, Reason::operands, message);
    }
  return true;
}

}  // namespace dino
