#pragma once
#include <cmath>
#include <initializer_list>

#include "../plan.h"

// What each kernel demands of its operands. The compiler's shape rules say the same in more words; these are the last
// line before memory is touched, and know only what a kernel reads and writes.

namespace dino {
namespace checks {

/** A size, or a letter that stands for one size throughout a step. */
struct Dim {
  Dim(char symbol) : symbol(symbol) {}
  Dim(int64_t size) : size(size) {}
  char symbol = 0;
  int64_t size = 0;
};

class Checker {
 public:
  Checker(const Plan& plan, const PlanStep& step, std::string& message) : plan_(plan), step_(step), message_(message) {}

  bool ok() const { return message_.empty(); }
  void fail(const std::string& message) {
    if (message_.empty()) message_ = message;
  }
  void expect(bool condition, const char* message) {
    if (!condition) fail(message);
  }

  int operands() const { return static_cast<int>(step_.operands.size()); }
  int results() const { return static_cast<int>(step_.results.size()); }
  /** Operand counts may leave out optional ones at the end. */
  void counts(int least, int most, int results_least, int results_most = -1) {
    if (results_most < 0) results_most = results_least;
    if (operands() < least || operands() > most)
      fail("has " + std::to_string(operands()) + " operands");
    else if (results() < results_least || results() > results_most)
      fail("has " + std::to_string(results()) + " results");
  }
  void attributes(size_t least) {
    if (step_.attributes.size() < least) fail("lacks attributes");
    for (double a : step_.attributes) expect(std::isfinite(a), "has an attribute that is not finite");
  }
  double real(size_t i) const { return i < step_.attributes.size() ? step_.attributes[i] : 0; }
  size_t attribute_count() const { return step_.attributes.size(); }
  int64_t whole(size_t i, int64_t least, int64_t most = int64_t{1} << 31) {
    const double a = real(i);
    if (!(a >= static_cast<double>(least) && a <= static_cast<double>(most)) || a != std::floor(a)) {
      fail("has " + std::to_string(a) + " for attribute " + std::to_string(i));
      return least;
    }
    return static_cast<int64_t>(a);
  }

  const PlanTensor* operand(int i) const {
    if (i >= operands() || step_.operands[static_cast<size_t>(i)] < 0) return nullptr;
    return &plan_.tensors[static_cast<size_t>(step_.operands[static_cast<size_t>(i)])];
  }
  const PlanTensor* result(int i) const {
    return i >= results() ? nullptr : &plan_.tensors[static_cast<size_t>(step_.results[static_cast<size_t>(i)])];
  }
  bool has(int i) const { return operand(i) != nullptr; }
  int64_t size(char symbol) const { return symbols_[static_cast<size_t>(symbol) & 127]; }
  void bind(char symbol, int64_t size) { symbols_[static_cast<size_t>(symbol) & 127] = size; }

  void in(int i, std::initializer_list<Dim> dims, DType dtype = DType::f32) { match("operand", i, operand(i), dtype, dims); }
  void in_i32(int i, std::initializer_list<Dim> dims) { in(i, dims, DType::i32); }
  void maybe(int i, std::initializer_list<Dim> dims, DType dtype = DType::f32) {
    if (has(i)) in(i, dims, dtype);
  }
  void rows(int i) { maybe(i, {}, DType::i32); }
  void out(int i, std::initializer_list<Dim> dims, DType dtype = DType::f32) { match("result", i, result(i), dtype, dims); }
  /** As `in` and `out`, of a float tensor that may be stored in bf16. */
  void in_float(int i, std::initializer_list<Dim> dims) { in(i, dims, float_of(operand(i))); }
  void out_float(int i, std::initializer_list<Dim> dims) { out(i, dims, float_of(result(i))); }
  static DType float_of(const PlanTensor* t) { return t && t->dtype == DType::bf16 ? DType::bf16 : DType::f32; }
  /** Operands of a product: both f32, or both bf16; what is computed from f32 alone is f32. */
  void product(int a, int b) {
    const bool bf16 = float_of(operand(a)) == DType::bf16;
    expect(bf16 == (float_of(operand(b)) == DType::bf16), "multiplies f32 by bf16");
    for (int i = 0; i < results(); i++) expect(bf16 || float_of(result(i)) == DType::f32, "has a bf16 result of f32 operands");
  }

  /** f32 of any shape. */
  void floats(int i) {
    const PlanTensor* t = operand(i);
    if (!t || t->dtype != DType::f32) fail("operand " + std::to_string(i) + " is not f32");
  }
  /** The shape and dtype of another tensor. */
  void like(const PlanTensor* t, const PlanTensor* other) {
    if (!t || !other || t->shape != other->shape || t->dtype != other->dtype) fail("has operands or results of different shapes");
  }
  const std::vector<Group>& groups(const PlanTensor* t) {
    static const std::vector<Group> none;
    if (!t || t->groups.empty()) {
      fail("has an operand without segments");
      return none;
    }
    return t->groups;
  }
  /** Binds 'R' to the rows of operand i and 'd' to the elements of one. */
  void bind_rows(int i) {
    floats(i);
    const PlanTensor* t = operand(i);
    if (!t) return;
    int64_t columns = 1;
    for (size_t j = 1; j < t->shape.size(); j++) columns *= t->shape[j];
    bind('R', t->shape.empty() ? 1 : t->shape[0]);
    bind('d', columns);
  }

 private:
  void match(const char* what, int i, const PlanTensor* t, DType dtype, std::initializer_list<Dim> dims) {
    if (!ok()) return;
    const std::string name = std::string(what) + " " + std::to_string(i);
    if (!t) return fail("lacks " + name);
    if (t->dtype != dtype) return fail(name + " has another dtype than " + (dtype == DType::i32 ? "i32" : "f32"));
    if (t->shape.size() != dims.size()) return fail(name + " has " + std::to_string(t->shape.size()) + " dimensions");
    size_t axis = 0;
    for (const Dim& dim : dims) {
      const int64_t found = t->shape[axis++];
      int64_t& known = symbols_[static_cast<size_t>(dim.symbol) & 127];
      if (dim.symbol != 0 && known < 0) known = found;
      const int64_t wanted = dim.symbol != 0 ? known : dim.size;
      if (found != wanted)
        return fail(name + " has size " + std::to_string(found) + " in dimension " + std::to_string(axis - 1) + ", expected " + std::to_string(wanted));
    }
  }

  struct Symbols {
    int64_t sizes[128];
    Symbols() {
      for (int64_t& s : sizes) s = -1;
    }
    int64_t& operator[](size_t i) { return sizes[i]; }
    int64_t operator[](size_t i) const { return sizes[i]; }
  };

  const Plan& plan_;
  const PlanStep& step_;
  std::string& message_;
  Symbols symbols_;
};

/** One check for each kind, by its name. */
#define X(name) void name(Checker& c);
DINO_KERNEL_KINDS(X)
#undef X

inline void one_to_one(Checker& c, int operands) {
  c.counts(operands, operands, 1);
  for (int i = 0; i < operands; i++) {
    c.floats(i);
    c.like(c.operand(i), c.result(0));
  }
}
/** As `one_to_one`, each f32 or bf16. */
inline void one_to_one_stored(Checker& c, int operands) {
  c.counts(operands, operands, 1);
  for (int i = 0; i < operands; i++) {
    if (!c.has(i) || !c.result(0) || c.operand(i)->shape != c.result(0)->shape)
      return c.fail("has operands or results of different shapes");
    c.expect(c.operand(i)->dtype != DType::i32 && c.result(0)->dtype != DType::i32, "computes in i32");
  }
}

}  // namespace checks
}  // namespace dino
