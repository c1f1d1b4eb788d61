#include <cmath>
#include <initializer_list>

#include "plan.h"

// What each kernel demands of its operands. The compiler's shape rules say the same in more words; these are the last
// line before memory is touched, and know only what a kernel reads and writes.

namespace dino {
namespace {

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

// --- tokens

void patchify(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  const int64_t p = c.whole(0, 1);
  c.in(0, {'N', 'C', 'H', 'W'});
  if (!c.ok()) return;
  c.expect(c.size('H') % p == 0 && c.size('W') % p == 0, "has images that patches do not divide");
  c.out(0, {c.size('N') * (c.size('H') / p) * (c.size('W') / p), c.size('C') * p * p});
}
void replace_masked(Checker& c) {
  c.counts(3, 3, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.in_i32(2, {'R'});
  c.out(0, {'R', 'd'});
}
void replace_masked_grad(Checker& c) {
  c.counts(2, 2, 2);
  c.in(0, {'R', 'd'});
  c.in_i32(1, {'R'});
  c.out(0, {'R', 'd'});
  c.out(1, {'d'});
}
void interpolation(Checker& c, bool inverse) {
  c.counts(1, 1, 1);
  c.attributes(3);
  const int64_t grid = c.whole(0, 1, 4096), height = c.whole(1, 1, 4096), width = c.whole(2, 1, 4096);
  c.expect(static_cast<int64_t>(c.attribute_count()) == 3 + (height + width) * grid, "lacks interpolation weights");
  const int64_t small = 1 + grid * grid, large = 1 + height * width;
  c.in(0, {inverse ? large : small, 'd'});
  c.out(0, {inverse ? small : large, 'd'});
}
void interpolate_pos(Checker& c) { interpolation(c, false); }
void interpolate_pos_grad(Checker& c) { interpolation(c, true); }
void assemble_tokens(Checker& c) {
  c.counts(3, 4, 1);
  c.attributes(3);
  const int64_t count = c.whole(0, 0), patches = c.whole(1, 0), registers = c.whole(2, 0, 1 << 20);
  c.in(0, {count * patches, 'd'});
  c.in(1, {'d'});
  c.in(2, {1 + patches, 'd'});
  if (registers > 0) c.in(3, {registers, 'd'});
  c.out(0, {count * (1 + registers + patches), 'd'});
}
void assemble_tokens_grad(Checker& c) {
  c.attributes(3);
  const int64_t count = c.whole(0, 0), patches = c.whole(1, 0), registers = c.whole(2, 0, 1 << 20);
  c.counts(1, 1, registers > 0 ? 4 : 3);
  c.in(0, {count * (1 + registers + patches), 'd'});
  c.out(0, {count * patches, 'd'});
  c.out(1, {'d'});
  c.out(2, {1 + patches, 'd'});
  if (registers > 0) c.out(3, {registers, 'd'});
}

// --- products

void linear(Checker& c) {
  c.attributes(1);
  const bool gelu = c.whole(0, 0, 1) == 1;
  c.counts(2, 3, gelu ? 2 : 1);
  c.in_float(0, {'R', 'i'});
  c.in_float(1, {'o', 'i'});
  c.product(0, 1);
  c.maybe(2, {'o'});
  c.out_float(0, {'R', 'o'});
  if (gelu) c.like(c.result(1), c.result(0));
}
void matmul(Checker& c) {
  c.counts(2, 5, 1);
  c.attributes(3);
  const bool ta = c.whole(0, 0, 1) == 1, tb = c.whole(1, 0, 1) == 1, gelu = c.whole(2, 0, 1) == 1;
  ta ? c.in_float(0, {'k', 'm'}) : c.in_float(0, {'m', 'k'});
  tb ? c.in_float(1, {'n', 'k'}) : c.in_float(1, {'k', 'n'});
  c.product(0, 1);
  c.maybe(2, {'m', 'n'});
  if (gelu) c.in_float(3, {'m', 'n'});
  if (c.has(3)) c.expect(Checker::float_of(c.operand(0)) == DType::bf16 || Checker::float_of(c.operand(3)) == DType::f32, "has a bf16 slope of an f32 product");
  c.rows(4);
  c.out_float(0, {'m', 'n'});
}
void batch_matmul(Checker& c) {
  c.counts(2, 2, 1);
  c.attributes(3);
  const bool ta = c.whole(0, 0, 1) == 1, tb = c.whole(1, 0, 1) == 1;
  ta ? c.in(0, {'b', 'k', 'm'}) : c.in(0, {'b', 'm', 'k'});
  tb ? c.in(1, {'b', 'n', 'k'}) : c.in(1, {'b', 'k', 'n'});
  c.out(0, {'b', 'm', 'n'});
}
void sum_rows(Checker& c) {
  c.counts(1, 2, 1);
  c.in_float(0, {'R', 'd'});
  c.rows(1);
  c.out(0, {'d'});
}

// --- normalisation and activations

void layer_norm(Checker& c) {
  c.counts(3, 3, 3);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.in(2, {'d'});
  c.out_float(0, {'R', 'd'});
  c.out(1, {'R'});
  c.out(2, {'R'});
}
void layer_norm_rebuild(Checker& c) {
  c.counts(5, 5, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'R'});
  c.in(2, {'R'});
  c.in(3, {'d'});
  c.in(4, {'d'});
  c.out_float(0, {'R', 'd'});
}
void layer_norm_grad(Checker& c) {
  c.counts(5, 5, 3);
  c.in_float(0, {'R', 'd'});
  c.in(1, {'R', 'd'});
  c.in(2, {'R'});
  c.in(3, {'R'});
  c.in(4, {'d'});
  c.out(0, {'R', 'd'});
  c.out(1, {'d'});
  c.out(2, {'d'});
}
void one_to_one(Checker& c, int operands) {
  c.counts(operands, operands, 1);
  for (int i = 0; i < operands; i++) {
    c.floats(i);
    c.like(c.operand(i), c.result(0));
  }
}
/** As `one_to_one`, each f32 or bf16. */
void one_to_one_stored(Checker& c, int operands) {
  c.counts(operands, operands, 1);
  for (int i = 0; i < operands; i++) {
    if (!c.has(i) || !c.result(0) || c.operand(i)->shape != c.result(0)->shape)
      return c.fail("has operands or results of different shapes");
    c.expect(c.operand(i)->dtype != DType::i32 && c.result(0)->dtype != DType::i32, "computes in i32");
  }
}
void gelu(Checker& c) { one_to_one_stored(c, 1); }
void gelu_grad(Checker& c) { one_to_one_stored(c, 2); }
void silu_gate(Checker& c) {
  c.counts(1, 1, 1);
  c.out_float(0, {'R', 'h'});
  if (c.ok()) c.in_float(0, {'R', 2 * c.size('h')});
}
void silu_gate_grad(Checker& c) {
  c.counts(2, 2, 1);
  c.in_float(0, {'R', 'h'});
  if (!c.ok()) return;
  c.in_float(1, {'R', 2 * c.size('h')});
  c.out_float(0, {'R', 2 * c.size('h')});
}
void layer_scale(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'R', 'd'});
  c.in(1, {'d'});
  c.out(0, {'R', 'd'});
}
void layer_scale_grad(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'R', 'd'});
  c.in_float(1, {'R', 'd'});
  c.in(2, {'d'});
  c.out_float(0, {'R', 'd'});
  c.out(1, {'d'});
}
void l2_normalize(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.out_float(0, {'R', 'd'});
}
void l2_normalize_grad(Checker& c) {
  c.counts(2, 2, 1);
  c.attributes(1);
  c.in(0, {'R', 'd'});
  c.in(1, {'R', 'd'});
  c.out(0, {'R', 'd'});
}
void weight_norm(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'K', 'd'});
  c.in(1, {'K'});
  c.out_float(0, {'K', 'd'});
}
void weight_norm_grad(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'K', 'd'});
  c.in(1, {'K', 'd'});
  c.in(2, {'K'});
  c.out(0, {'K', 'd'});
  c.out(1, {'K'});
}
void softmax(Checker& c) { one_to_one(c, 1); }
void softmax_grad(Checker& c) { one_to_one(c, 2); }
void add(Checker& c) { one_to_one(c, 2); }
void scale(Checker& c) {
  one_to_one(c, 1);
  c.attributes(1);
}
void fill(Checker& c) {
  c.counts(0, 0, 1);
  c.attributes(1);
  c.expect(c.result(0) && c.result(0)->dtype != DType::bf16, "fills a bf16 tensor");
  c.expect(std::fabs(c.real(0)) < 2e9 || (c.result(0) && c.result(0)->dtype == DType::f32), "fills with a number that does not fit");
}
void cast(Checker& c) {
  c.counts(1, 1, 1);
  c.expect(c.has(0) && c.result(0) && c.operand(0)->shape == c.result(0)->shape, "has operands or results of different shapes");
}
void weighted_sum(Checker& c) {
  c.counts(1, 1 << 20, 1);
  c.attributes(static_cast<size_t>(c.operands()));
  for (int i = 0; i < c.operands(); i++) c.in(i, {});
  c.out(0, {});
}

// --- attention

void attention(Checker& c) {
  c.counts(1, 1, 2);
  c.attributes(1);
  const int64_t heads = c.whole(0, 1, 1 << 16);
  c.out_float(0, {'T', 'd'});
  if (!c.ok()) return;
  c.in_float(0, {'T', 3 * c.size('d')});
  c.product(0, 0);
  c.groups(c.operand(0));
  c.expect(c.size('d') % heads == 0, "has heads that do not divide its width");
  c.out(1, {c.size('T') * heads});
}
void attention_grad(Checker& c) {
  c.counts(4, 4, 1);
  c.attributes(1);
  const int64_t heads = c.whole(0, 1, 1 << 16);
  c.in_float(0, {'T', 'd'});
  if (!c.ok()) return;
  c.in_float(1, {'T', 3 * c.size('d')});
  c.product(0, 1);
  c.product(1, 2);
  c.groups(c.operand(1));
  c.expect(c.size('d') % heads == 0, "has heads that do not divide its width");
  c.in_float(2, {'T', 'd'});
  c.in(3, {c.size('T') * heads});
  c.out_float(0, {'T', 3 * c.size('d')});
}
/** The parts of [count*length, parts*d] by head, as operands or as results. */
void heads(Checker& c, int parts, bool split) {
  c.counts(split ? 1 : parts, split ? 1 : parts, split ? parts : 1);
  c.attributes(3);
  const int64_t heads = c.whole(0, 1, 1 << 16), count = c.whole(1, 0), length = c.whole(2, 0);
  split ? c.in(0, {'T', 'w'}) : c.out(0, {'T', 'w'});
  if (!c.ok()) return;
  c.expect(c.size('w') % (parts * heads) == 0, "has heads that do not divide its width");
  c.expect(c.size('T') == count * length, "has sequences that do not add up to its rows");
  const int64_t size = c.size('w') / (parts * heads);
  for (int i = 0; i < parts; i++) {
    if (split)
      c.out(i, {count * heads, length, size});
    else
      c.in(i, {count * heads, length, size});
  }
}
void split_heads(Checker& c) { heads(c, 3, true); }
void join_heads(Checker& c) { heads(c, 3, false); }
void merge_heads(Checker& c) { heads(c, 1, false); }
void unmerge_heads(Checker& c) { heads(c, 1, true); }

// --- moving rows

void concat_rows(Checker& c) {
  c.counts(1, 1 << 20, 1);
  if (!c.ok()) return;
  int64_t elements = 0;
  for (int i = 0; i < c.operands(); i++) {
    c.expect(c.has(i) && c.operand(i)->dtype == c.result(0)->dtype, "joins tensors of different dtypes");
    c.expect(c.result(0)->dtype != DType::bf16, "moves rows of bf16");
    if (c.has(i)) elements += c.operand(i)->elements();
  }
  c.expect(c.ok() && c.result(0)->elements() == elements, "has a result that is not as long as its operands together");
}
/** Rows of `part` are rows start .. of `whole`. */
void rows_within(Checker& c, const PlanTensor* part, const PlanTensor* whole, int64_t start) {
  if (!part || !whole || part->shape.empty() || part->shape.size() != whole->shape.size() || part->dtype != whole->dtype)
    return c.fail("has operands or results of different shapes");
  if (part->dtype == DType::bf16) return c.fail("moves rows of bf16");
  for (size_t i = 1; i < part->shape.size(); i++)
    c.expect(part->shape[i] == whole->shape[i], "has operands or results of different shapes");
  c.expect(start + part->shape[0] <= whole->shape[0], "reaches beyond the rows that there are");
}
void slice_rows(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  rows_within(c, c.result(0), c.operand(0), c.whole(0, 0));
}
void place_rows(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  rows_within(c, c.operand(0), c.result(0), c.whole(0, 0));
}
void tokens_within(Checker& c, const PlanTensor* ragged) {
  c.attributes(3);
  const std::vector<Group>& groups = c.groups(ragged);
  if (!c.ok()) return;
  const int64_t group = c.whole(0, 0, static_cast<int64_t>(groups.size()) - 1);
  const int64_t start = c.whole(1, 0), tokens = c.whole(2, 0);
  const Group& g = groups[static_cast<size_t>(group)];
  c.expect(start + tokens <= g.length, "takes tokens beyond the end of a sequence");
  c.bind('n', g.count * tokens);
}
void select_tokens(Checker& c) {
  c.counts(1, 1, 1);
  c.in(0, {'T', 'd'});
  tokens_within(c, c.operand(0));
  c.out(0, {'n', 'd'});
}
void place_tokens(Checker& c) {
  c.counts(1, 1, 1);
  c.out(0, {'T', 'd'});
  tokens_within(c, c.result(0));
  c.in(0, {'n', 'd'});
}
void gather_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in(0, {'R', 'd'});
  c.in_i32(1, {'n'});
  c.rows(2);
  c.out(0, {'n', 'd'});
}
void scatter_add_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in(0, {'n', 'd'});
  c.in_i32(1, {'n'});
  c.rows(2);
  c.out(0, {'t', 'd'});
}
/** `part` holds sequences of `whole`, group by group; operand `kept` says which. */
void kept_within(Checker& c, const PlanTensor* part, const PlanTensor* whole, int kept) {
  const std::vector<Group>& some = c.groups(part);
  const std::vector<Group>& all = c.groups(whole);
  if (!c.ok()) return;
  if (some.size() != all.size()) return c.fail("keeps sequences of other groups than there are");
  int64_t sequences = 0;
  for (size_t g = 0; g < some.size(); g++) {
    c.expect(some[g].length == all[g].length && some[g].count <= all[g].count, "keeps sequences of other groups than there are");
    sequences += some[g].count;
  }
  c.in_i32(kept, {sequences});
}
void gather_segments(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'T', 'd'});
  c.out(0, {'t', 'd'});
  kept_within(c, c.result(0), c.operand(0), 1);
}
void scatter_segments(Checker& c) {
  c.counts(2, 2, 1);
  c.in(0, {'t', 'd'});
  c.out(0, {'T', 'd'});
  kept_within(c, c.operand(0), c.result(0), 1);
  if (c.ok()) c.attributes(c.result(0)->groups.size());
}
void factors(Checker& c, int operand, const PlanTensor* ragged) {
  if (!c.has(operand)) return;
  int64_t sequences = 0;
  for (const Group& g : c.groups(ragged)) sequences += g.count;
  c.in(operand, {sequences});
}
void residual_add(Checker& c) {
  c.counts(5, 5, 1);
  c.in(0, {'T', 'd'});
  c.out(0, {'T', 'd'});
  c.maybe(2, {'d'});
  if (c.has(3)) {
    c.in_float(1, {'t', 'd'});
    kept_within(c, c.operand(1), c.operand(0), 3);
    if (c.ok()) c.attributes(c.operand(0)->groups.size());
  } else {
    c.in_float(1, {'T', 'd'});
    factors(c, 4, c.operand(0));
  }
}
void residual_add_grad(Checker& c) {
  c.counts(5, 5, c.has(2) ? 2 : 1);
  c.in(0, {'T', 'd'});
  c.out_float(0, {c.has(3) ? 't' : 'T', 'd'});
  if (c.has(2)) {
    c.in_float(1, {c.has(3) ? 't' : 'T', 'd'});
    c.in(2, {'d'});
    c.out(1, {'d'});
  }
  if (c.has(3)) {
    kept_within(c, c.result(0), c.operand(0), 3);
    if (c.ok()) c.attributes(c.operand(0)->groups.size());
  } else {
    factors(c, 4, c.operand(0));
  }
}

// --- targets and losses

void sinkhorn(Checker& c) {
  c.counts(2, 3, 2);
  c.attributes(1);
  c.whole(0, 0, 1 << 20);
  c.in(0, {'R', 'K'});
  c.in(1, {});
  c.rows(2);
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void sharpen_center(Checker& c) {
  c.counts(3, 3, 2);
  c.in(0, {'R', 'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void make_targets(Checker& c) {
  c.counts(4, 4, 1);
  c.in(0, {'R', 'K'});
  c.in(1, {'R'});
  c.in(2, {'K'});
  c.in(3, {});
  c.out(0, {'R', 'K'});
}
void mean_rows(Checker& c) {
  c.counts(1, 3, 1);
  c.in(0, {'R', 'K'});
  c.rows(1);
  c.maybe(2, {'K'});
  c.out(0, {'K'});
}
/** Of S student and R teacher rows; `rows` is the operand that bounds both. */
void pairing(Checker& c, int rows) {
  c.attributes(6);
  const int64_t kind = c.whole(0, 0, 2), images = c.whole(1, 0), crops = c.whole(2, 0);
  c.whole(5, 0, 1);
  c.rows(rows);
  if (!c.ok()) return;
  const int64_t students = c.size('S'), teachers = c.size('R');
  const bool fits = kind == 0   ? students == teachers
                    : kind == 1 ? students == teachers && students == 2 * images
                                : images > 0 && crops > 0 && teachers == images * crops && students % images == 0;
  c.expect(fits, "pairs rows that are not there");
  c.expect(kind == 0 || !c.has(rows), "bounds rows that are paired across crops");
}
void loss_results(Checker& c) {
  const bool stats = c.whole(5, 0, 1) == 1;
  if (c.results() != (stats ? 4 : 2)) return c.fail("has " + std::to_string(c.results()) + " results");
  c.out(0, {});
  c.out(1, {'S'});
  if (!stats) return;
  c.out(2, {});
  c.out(3, {'K'});
}
void cross_entropy_rows(Checker& c) {
  c.counts(4, 4, 2, 4);
  c.in(0, {'S', 'K'});
  c.in(1, {'R', 'K'});
  c.maybe(2, {'S'});
  pairing(c, 3);
  loss_results(c);
}
void cross_entropy_rows_grad(Checker& c) {
  c.counts(6, 6, 1);
  c.in(0, {});
  c.in(1, {'S', 'K'});
  c.in(2, {'R', 'K'});
  c.in(3, {'S'});
  c.maybe(4, {'S'});
  pairing(c, 5);
  c.out(0, {'S', 'K'});
}
void prototype_cross_entropy(Checker& c) {
  c.counts(8, 8, 2, 4);
  c.in_float(0, {'S', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {'R', 'K'});
  c.in(3, {'R'});
  c.in(4, {'K'});
  c.in(5, {});
  c.maybe(6, {'S'});
  pairing(c, 7);
  loss_results(c);
}
void prototype_cross_entropy_grad(Checker& c) {
  c.counts(10, 10, 2);
  c.in(0, {});
  c.in_float(1, {'S', 'b'});
  c.in_float(2, {'K', 'b'});
  c.product(1, 2);
  c.in(3, {'R', 'K'});
  c.in(4, {'R'});
  c.in(5, {'K'});
  c.in(6, {});
  c.in(7, {'S'});
  c.maybe(8, {'S'});
  pairing(c, 9);
  c.out(0, {'S', 'b'});
  c.out(1, {'K', 'b'});
}
void streamed_sinkhorn(Checker& c) {
  c.counts(3, 4, 2);
  c.attributes(1);
  c.whole(0, 0, 1 << 20);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {});
  c.rows(3);
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void streamed_sharpen_center(Checker& c) {
  c.counts(4, 4, 2);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in(2, {'K'});
  c.in(3, {});
  c.out(0, {'R'});
  c.out(1, {'K'});
}
void streamed_mean_rows(Checker& c) {
  c.counts(2, 3, 1);
  c.in_float(0, {'R', 'b'});
  c.in_float(1, {'K', 'b'});
  c.rows(2);
  c.out(0, {'K'});
}
void streamed_cross_entropy(Checker& c) {
  c.counts(9, 9, 2, 4);
  c.in_float(0, {'S', 'b'});
  c.in_float(1, {'K', 'b'});
  c.product(0, 1);
  c.in_float(2, {'R', 'd'});
  c.in_float(3, {'K', 'd'});
  c.product(2, 3);
  c.in(4, {'R'});
  c.in(5, {'K'});
  c.in(6, {});
  c.maybe(7, {'S'});
  pairing(c, 8);
  loss_results(c);
}
void streamed_cross_entropy_grad(Checker& c) {
  c.counts(11, 11, 2);
  c.in(0, {});
  c.in_float(1, {'S', 'b'});
  c.in_float(2, {'K', 'b'});
  c.product(1, 2);
  c.in_float(3, {'R', 'd'});
  c.in_float(4, {'K', 'd'});
  c.product(3, 4);
  c.in(5, {'R'});
  c.in(6, {'K'});
  c.in(7, {});
  c.in(8, {'S'});
  c.maybe(9, {'S'});
  pairing(c, 10);
  c.out(0, {'S', 'b'});
  c.out(1, {'K', 'b'});
}
void koleo(Checker& c) {
  c.counts(1, 1, 2);
  c.attributes(3);
  const int64_t set = c.whole(0, 1);
  c.in(0, {'R', 'd'});
  c.expect(c.size('R') % set == 0, "has sets that do not divide its rows");
  c.out(0, {});
  c.out(1, {'R'}, DType::i32);
}
void koleo_grad(Checker& c) {
  c.counts(3, 3, 1);
  c.attributes(3);
  c.whole(0, 1);
  c.in(0, {});
  c.in(1, {'R', 'd'});
  c.in_i32(2, {'R'});
  c.out(0, {'R', 'd'});
}

// --- update

void norm(Checker& c) {
  c.counts(1, 1 << 20, 1);
  for (int i = 0; i < c.operands(); i++) c.floats(i);
  c.out(0, {});
}
void finite(Checker& c) {
  c.counts(1, 1 << 20, 1);
  for (int i = 0; i < c.operands(); i++) c.in(i, {});
  c.out(0, {});
}
void clip_factor(Checker& c) {
  c.counts(1, 1, 1);
  c.attributes(1);
  c.in(0, {});
  c.out(0, {});
}
void adamw(Checker& c) {
  c.counts(9, 9, 3);
  c.attributes(5);
  c.floats(0);
  for (int i = 1; i < 4; i++) c.like(c.operand(i), c.operand(0));
  c.in(4, {});
  c.in(5, {});
  c.in_i32(6, {});
  c.maybe(7, {});
  c.in(8, {});
  for (int i = 0; i < 3; i++) c.like(c.result(i), c.operand(0));
}
void ema(Checker& c) {
  c.counts(4, 4, 1);
  c.floats(0);
  c.like(c.operand(1), c.operand(0));
  c.in(2, {});
  c.in(3, {});
  c.like(c.result(0), c.operand(0));
}
void adamw_ema(Checker& c) {
  c.counts(11, 11, 4);
  c.attributes(5);
  c.floats(0);
  for (int i = 1; i < 5; i++) c.like(c.operand(i), c.operand(0));
  c.in(5, {});
  c.in(6, {});
  c.in_i32(7, {});
  c.in(8, {});
  c.maybe(9, {});
  c.in(10, {});
  for (int i = 0; i < 4; i++) c.like(c.result(i), c.operand(0));
}
void update_center(Checker& c) {
  c.counts(3, 4, 1);
  c.attributes(1);
  c.in(0, {'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'K'});
}
void accumulate(Checker& c) {
  c.counts(3, 3, 1);
  c.expect(c.has(0) && c.has(1), "lacks an operand");
  c.like(c.operand(0), c.operand(1));
  c.like(c.result(0), c.operand(1));
  c.expect(c.result(0) && c.result(0)->dtype != DType::bf16, "adds up bf16");
  c.in(2, {});
}

void square_sum(Checker& c) { norm(c); }
void sqrt(Checker& c) { one_to_one(c, 1); }

// --- ranks

void sinkhorn_columns(Checker& c) {
  c.counts(3, 4, 1);
  c.in(0, {'R', 'K'});
  c.maybe(1, {'R'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'K'});
}
void sinkhorn_rows(Checker& c) {
  c.counts(3, 4, 1);
  c.in(0, {'R', 'K'});
  c.in(1, {'K'});
  c.in(2, {});
  c.rows(3);
  c.out(0, {'R'});
}
/** Few enough that their elements can be counted. */
constexpr int most_tensors = 1 << 16;
/** `part` is what one of the ranks holds of `total` elements. */
void part_of(Checker& c, const PlanTensor* part, int64_t total) {
  const int64_t ranks = c.whole(0, 1, max_ranks);
  if (part && part->elements() != ceil_div(total, ranks))
    c.fail("has a part of " + std::to_string(part->elements()) + " of " + std::to_string(total) + " elements of " + std::to_string(ranks) + " ranks");
}
void all_gather(Checker& c) {
  c.counts(1, 1, 1, most_tensors);
  c.attributes(1);
  if (!c.has(0)) return c.fail("lacks an operand");
  int64_t total = 0;
  for (int i = 0; c.ok() && i < c.results(); i++) {
    c.expect(c.result(i)->dtype == c.operand(0)->dtype, "joins tensors of different dtypes");
    total += c.result(i)->elements();
  }
  if (c.ok()) part_of(c, c.operand(0), total);
}
void reduce_scatter(Checker& c) {
  c.counts(1, most_tensors, 1);
  c.attributes(1);
  int64_t total = 0;
  for (int i = 0; c.ok() && i < c.operands(); i++) {
    if (!c.has(i) || c.operand(i)->dtype == DType::i32) return c.fail("operand " + std::to_string(i) + " is not f32 or bf16");
    c.expect(c.operand(i)->dtype == c.operand(0)->dtype, "adds tensors of different dtypes");
    total += c.operand(i)->elements();
  }
  c.expect(c.result(0) && c.result(0)->dtype == DType::f32, "has a result that is not f32");
  if (c.ok()) part_of(c, c.result(0), total);
}
void all_reduce(Checker& c) {
  c.attributes(3);
  c.whole(0, 1, max_ranks);
  const int64_t how = c.whole(1, 0, 2), weights = c.whole(2, 0, 1);
  const int values = c.operands() - static_cast<int>(weights);
  c.counts(1 + static_cast<int>(weights), most_tensors, values);
  c.expect(weights == 0 || how == 1, "weights what is no mean");
  for (int i = 0; c.ok() && i < values; i++) {
    c.expect(c.has(i) && (c.operand(i)->dtype == DType::f32 || (how == 0 && c.operand(i)->dtype == DType::i32)), "reduces an operand that is not f32");
    c.like(c.operand(i), c.result(i));
  }
  if (weights == 1) c.in_i32(values, {});
}

struct Row {
  void (*check)(Checker&);
};
const Row table[kind_count] = {
#define X(name) {name},
    DINO_KERNEL_KINDS(X)
#undef X
};

/** Which results may stand in the place of which operand: kernels read an element, or a row, before they write it. */
struct InPlace {
  Kind kind;
  int result, operand;
};
const InPlace in_place[] = {
    {Kind::replace_masked, 0, 0},     {Kind::replace_masked_grad, 0, 0}, {Kind::layer_norm, 0, 0},
    {Kind::layer_norm_rebuild, 0, 0}, {Kind::layer_norm_grad, 0, 0},     {Kind::gelu, 0, 0},
    {Kind::gelu_grad, 0, 0},          {Kind::gelu_grad, 0, 1},           {Kind::silu_gate_grad, 0, 1},
    {Kind::layer_scale, 0, 0},        {Kind::layer_scale_grad, 0, 0},    {Kind::l2_normalize, 0, 0},
    {Kind::l2_normalize_grad, 0, 0},  {Kind::softmax, 0, 0},             {Kind::softmax_grad, 0, 0},
    {Kind::add, 0, 0},                {Kind::add, 0, 1},                 {Kind::scale, 0, 0},
    {Kind::residual_add, 0, 0},       {Kind::make_targets, 0, 0},        {Kind::cross_entropy_rows_grad, 0, 1},
    {Kind::matmul, 0, 2},             {Kind::adamw, 0, 0},               {Kind::adamw, 1, 2},
    {Kind::adamw, 2, 3},              {Kind::ema, 0, 0},                 {Kind::adamw_ema, 0, 0},
    {Kind::adamw_ema, 1, 2},          {Kind::adamw_ema, 2, 3},           {Kind::adamw_ema, 3, 4},
    {Kind::update_center, 0, 0},      {Kind::accumulate, 0, 0},          {Kind::accumulate, 0, 1},
    {Kind::sqrt, 0, 0},
};

bool overlap(const PlanTensor& a, const PlanTensor& b) {
  if (a.in_state != b.in_state || a.arena != b.arena) return false;
  if (a.in_state) return true;
  return a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes();
}

bool same_place(const PlanTensor& a, const PlanTensor& b) { return a.offset == b.offset && a.bytes() == b.bytes(); }

bool may_replace(Kind kind, int result, int operand) {
  for (const InPlace& p : in_place)
    if (p.kind == kind && p.result == result && p.operand == operand) return true;
  return false;
}

void check_places(Checker& c, Kind kind) {
  for (int r = 0; r < c.results(); r++) {
    for (int o = 0; o < c.operands(); o++)
      if (c.has(o) && overlap(*c.result(r), *c.operand(o)) &&
          !(may_replace(kind, r, o) && same_place(*c.result(r), *c.operand(o))))
        c.fail("writes result " + std::to_string(r) + " over operand " + std::to_string(o));
    for (int other = 0; other < r; other++)
      if (overlap(*c.result(r), *c.result(other)))
        c.fail("writes results " + std::to_string(other) + " and " + std::to_string(r) + " to one place");
  }
}

}  // namespace

bool check_step(const Plan& plan, const PlanStep& step, std::string& message) {
  Checker checker(plan, step, message);
  table[static_cast<int>(step.kind)].check(checker);
  if (checker.ok()) check_places(checker, step.kind);
  return checker.ok();
}

}  // namespace dino
