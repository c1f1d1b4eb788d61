// Kernels at the shapes of real steps, in GFLOP/s of processor time on one thread, beside what multiply-adds alone reach:
// `native-bench [instruction set] [name part]`. Processor time, so that other programs disturb it little.
#include <ctime>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "../src/executor.h"

namespace dino {
#if defined(DINO_X86)
#define DINO_SETS(X) X(avx512bf16) X(avx512) X(avx2) X(portable)
#else
#define DINO_SETS(X) X(portable)
#endif
#define X(set)                           \
  namespace set {                        \
  double multiply_adds(int64_t rounds); \
  double pair_dots(int64_t rounds);     \
  }
DINO_SETS(X)
#undef X
}  // namespace dino

namespace {

using namespace dino;

struct Size {
  std::vector<int64_t> shape;
  bool i32 = false;
  std::vector<Group> groups = {};
  bool bf16 = false;
};

struct Work {
  std::string name;
  Kind kind;
  std::vector<Size> operands;  // an empty shape with i32: absent
  std::vector<Size> results;
  std::vector<double> attributes;
  double flops;
  double bytes;
  bool bf16 = false;  // of which peak it is measured
};

typedef double (*Peak)(int64_t);

/** Multiply-adds of float, or dot products of pairs of bf16. */
Peak peak_of(const char* isa, bool bf16) {
#define X(set) \
  if (std::strcmp(isa, #set) == 0) return bf16 ? set::pair_dots : set::multiply_adds;
  DINO_SETS(X)
#undef X
  return nullptr;
}

double seconds_now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::vector<double> encode(const Work& work) {
  std::vector<const Size*> all;
  std::vector<double> in, out;
  for (const Size& s : work.operands) {
    if (s.i32 && s.shape.empty()) {
      in.push_back(-1);
      continue;
    }
    in.push_back(static_cast<double>(all.size()));
    all.push_back(&s);
  }
  for (const Size& s : work.results) {
    out.push_back(static_cast<double>(all.size()));
    all.push_back(&s);
  }
  std::vector<double> words{plan_magic, plan_encoding, static_cast<double>(all.size())};
  for (const Size* s : all) {
    double bytes = s->bf16 ? 2 : 4;
    for (int64_t n : s->shape) bytes *= static_cast<double>(n);
    words.push_back(bytes);
  }
  words.push_back(static_cast<double>(all.size()));
  for (size_t i = 0; i < all.size(); i++) {
    words.push_back(all[i]->i32 ? 2 : all[i]->bf16 ? 1 : 0);
    words.push_back(static_cast<double>(all[i]->shape.size()));
    for (int64_t n : all[i]->shape) words.push_back(static_cast<double>(n));
    words.push_back(static_cast<double>(all[i]->groups.size()));
    for (const Group& g : all[i]->groups) words.insert(words.end(), {static_cast<double>(g.count), static_cast<double>(g.length)});
    words.insert(words.end(), {0.0, static_cast<double>(i), 0.0});
  }
  words.insert(words.end(), {1.0, 1.0, static_cast<double>(work.kind)});
  for (const auto& list : {in, out, work.attributes}) {
    words.push_back(static_cast<double>(list.size()));
    words.insert(words.end(), list.begin(), list.end());
  }
  return words;
}

/** Seconds of a run, and the multiply-add peak around it in GFLOP/s: clocks change with what else the machine does. */
struct Measured {
  double seconds = 0;
  double peak = 0;
};

double peak_of(const Isa& isa, bool bf16) {
  const double before = seconds_now();
  const double flops = peak_of(isa.name, bf16)(200000);
  return flops / (seconds_now() - before) / 1e9;
}

/** The shortest of 25 samples of at least 4 ms each, and the highest of 25 peaks between them: what other programs disturb least. */
Measured measure(const Work& work, Engine& engine) {
  LoadError error;
  const std::vector<double> words = encode(work);
  const auto executor = Executor::load(words.data(), words.size(), State::create({}), error);
  if (!executor) {
    std::printf("%s is refused: %s\n", work.name.c_str(), error.message.c_str());
    return {};
  }
  uint32_t random = 1;
  for (size_t i = 0; i < executor->tensors(); i++)
    for (int64_t j = 0; j < executor->tensor(i).elements; j++) {
      random = random * 1664525u + 1013904223u;
      const float value = static_cast<float>(random >> 8) / 16777216.0f - 0.5f;
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      if (executor->tensor(i).dtype == DType::f32)
        f32_of(&executor->tensor(i))[j] = value;
      else if (executor->tensor(i).dtype == DType::bf16)
        static_cast<uint16_t*>(executor->tensor(i).data)[j] = static_cast<uint16_t>(bits >> 16);
      else
        i32_of(&executor->tensor(i))[j] = static_cast<int32_t>(j);
    }
  std::atomic<bool> stop{false};
  executor->run(0, engine, stop);
  Measured best;
  for (int i = 0; i < 25; i++) {
    best.peak = std::max(best.peak, peak_of(engine.isa, work.bf16));
    const double before = seconds_now();
    int64_t runs = 0;
    double spent = 0;
    do {
      executor->run(0, engine, stop);
      runs++;
      spent = seconds_now() - before;
    } while (spent < 0.004);
    const double seconds = spent / static_cast<double>(runs);
    if (i == 0 || seconds < best.seconds) best.seconds = seconds;
  }
  return best;
}

std::string sizes(std::initializer_list<int64_t> list) {
  std::string text;
  for (int64_t n : list) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text;
}

const Size absent{{}, true};

void add_linear(std::vector<Work>& list, int64_t rows, int64_t in, int64_t out, bool gelu) {
  Work w{"linear" + std::string(gelu ? "+gelu " : " ") + sizes({rows, in, out}), Kind::linear,
         {{{rows, in}}, {{out, in}}, {{out}}}, {{{rows, out}}}, {gelu ? 1.0 : 0.0}, 2.0 * static_cast<double>(rows * in * out), 0};
  if (gelu) w.results.push_back({{rows, out}});
  list.push_back(w);
}
void add_gradients(std::vector<Work>& list, int64_t rows, int64_t in, int64_t out, bool gelu) {
  const double flops = 2.0 * static_cast<double>(rows * in * out);
  list.push_back(Work{"dx" + std::string(gelu ? "+gelu_grad " : " ") + sizes({rows, out, in}), Kind::matmul,
                      {{{rows, out}}, {{out, in}}, absent, gelu ? Size{{rows, in}} : absent, absent}, {{{rows, in}}}, {0, 0, gelu ? 1.0 : 0.0}, flops, 0});
  list.push_back(Work{"dw " + sizes({out, rows, in}), Kind::matmul, {{{rows, out}}, {{rows, in}}, absent, absent, absent},
                      {{{out, in}}}, {1, 0, 0}, flops, 0});
}
/** A product as mixed precision runs it: bf16 operands and activations, float weight gradients. */
Work in_bf16(Work w) {
  const bool gradient = w.kind == Kind::prototype_cross_entropy_grad || w.kind == Kind::streamed_cross_entropy_grad;
  const bool two = w.kind == Kind::streamed_cross_entropy || w.kind == Kind::streamed_cross_entropy_grad;
  const bool loss = gradient || two || w.kind == Kind::prototype_cross_entropy || w.kind == Kind::streamed_sinkhorn;
  const bool attention = w.kind == Kind::attention || w.kind == Kind::attention_grad;
  const bool weights = w.kind == Kind::matmul && w.attributes[0] != 0, logits = w.name.rfind("logits", 0) == 0;
  w.name = "bf16 " + w.name;
  w.bf16 = true;
  const size_t first = gradient ? 1 : 0, count = two ? 4 : w.kind == Kind::attention_grad ? 3 : 2;
  for (size_t i = first; i < w.operands.size() && i < first + count; i++) w.operands[i].bf16 = true;
  if (w.kind == Kind::matmul && !w.operands[3].i32) w.operands[3].bf16 = true;
  for (size_t i = 0; i < w.results.size(); i++) w.results[i].bf16 = !weights && !loss && !logits && (i == 0 || !attention);
  return w;
}
void add_attention(std::vector<Work>& list, std::vector<Group> groups, int64_t heads, int64_t d) {
  int64_t rows = 0;
  double squares = 0;
  std::string name;
  for (const Group& g : groups) {
    rows += g.count * g.length;
    squares += static_cast<double>(g.count * g.length * g.length);
    name += (name.empty() ? "" : "+") + std::to_string(g.count) + "x" + std::to_string(g.length);
  }
  name += " heads " + std::to_string(heads) + " of " + std::to_string(d / heads);
  const double flops = 4.0 * static_cast<double>(d) * squares;
  list.push_back(Work{"attention " + name, Kind::attention, {{{rows, 3 * d}, false, groups}},
                      {{{rows, d}, false, groups}, {{rows * heads}}}, {static_cast<double>(heads)}, flops, 0});
  list.push_back(Work{"attention_grad " + name, Kind::attention_grad,
                      {{{rows, d}, false, groups}, {{rows, 3 * d}, false, groups}, {{rows, d}, false, groups}, {{rows * heads}}},
                      {{{rows, 3 * d}, false, groups}}, {static_cast<double>(heads)}, 2.5 * flops, 0});
}
void add_rows(std::vector<Work>& list, int64_t rows, int64_t d) {
  const double bytes = 4.0 * static_cast<double>(rows * d);
  const std::string shape = sizes({rows, d});
  const Size x{{rows, d}}, column{{rows}}, row{{d}};
  list.push_back(Work{"layer_norm " + shape, Kind::layer_norm, {x, row, row}, {x, column, column}, {1e-6}, 0, 2 * bytes});
  list.push_back(Work{"layer_norm_grad " + shape, Kind::layer_norm_grad, {x, x, column, column, row}, {x, row, row}, {}, 0, 3 * bytes});
  list.push_back(Work{"gelu " + shape, Kind::gelu, {x}, {x}, {}, 0, 2 * bytes});
  list.push_back(Work{"sum_rows " + shape, Kind::sum_rows, {x, absent}, {row}, {}, 0, bytes});
  list.push_back(Work{"residual_add " + shape, Kind::residual_add, {x, x, row, absent, absent}, {x}, {}, 0, 3 * bytes});
  list.push_back(Work{"residual_add_grad " + shape, Kind::residual_add_grad, {x, x, row, absent, absent}, {x, row}, {}, 0, 3 * bytes});
  list.push_back(Work{"add " + shape, Kind::add, {x, x}, {x}, {}, 0, 3 * bytes});
}
void add_prototypes(std::vector<Work>& list, int64_t rows, int64_t width, int64_t k) {
  const double flops = 2.0 * static_cast<double>(rows * width * k);
  const Size x{{rows, width}}, w{{k, width}}, z{{rows, k}}, r{{rows}}, c{{k}}, one{{}};
  const std::string shape = sizes({rows, width, k});
  list.push_back(Work{"prototype_cross_entropy " + shape, Kind::prototype_cross_entropy, {x, w, z, r, c, one, absent, absent},
                      {one, r, one, c}, {0, 0, 0, 0.1, 1, 1}, flops, 0});
  list.push_back(Work{"prototype_cross_entropy_grad " + shape, Kind::prototype_cross_entropy_grad,
                      {one, x, w, z, r, c, one, r, absent, absent}, {x, w}, {0, 0, 0, 0.1, 1, 0}, 3 * flops, 0});
  list.push_back(Work{"sinkhorn " + sizes({rows, k}), Kind::sinkhorn, {z, one, absent}, {r, c}, {3}, 0,
                      24.0 * static_cast<double>(rows * k)});
  list.push_back(Work{"logits " + shape, Kind::linear, {x, w, absent}, {z}, {0}, flops, 0});
  // Of each product also the teacher's, once an iteration.
  list.push_back(Work{"streamed_cross_entropy " + shape, Kind::streamed_cross_entropy, {x, w, x, w, r, c, one, absent, absent},
                      {one, r, one, c}, {0, 0, 0, 0.1, 1, 1}, 2 * flops, 0});
  list.push_back(Work{"streamed_cross_entropy_grad " + shape, Kind::streamed_cross_entropy_grad,
                      {one, x, w, x, w, r, c, one, r, absent, absent}, {x, w}, {0, 0, 0, 0.1, 1, 0}, 4 * flops, 0});
  list.push_back(Work{"streamed_sinkhorn " + shape, Kind::streamed_sinkhorn, {x, w, one, absent}, {r, c}, {3}, 3 * flops, 0});
}

}  // namespace

/** The best of ten tries by so many threads at once, in GFLOP/s of wall time: what a whole step may be compared with. */
int print_peak(const Isa& isa, int threads) {
  double best = 0;
  for (int i = 0; i < 10; i++) {
    std::vector<std::thread> all;
    std::vector<double> flops(static_cast<size_t>(threads));
    const auto before = std::chrono::steady_clock::now();
    for (double& own : flops) all.emplace_back([&] { own = peak_of(isa.name, false)(4000000); });
    for (std::thread& thread : all) thread.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    double sum = 0;
    for (double own : flops) sum += own;
    best = std::max(best, sum / seconds / 1e9);
  }
  std::printf("%.1f GFLOP/s\n", best);
  return 0;
}

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a line at a time, into a pipe too
  const std::vector<Isa> sets = instruction_sets();
  const Isa* isa = nullptr;
  for (const Isa& s : sets)
    if (s.supported && !isa && (argc < 2 || argv[1][0] == '-' || std::strcmp(argv[1], s.name) == 0)) isa = &s;
  if (!isa) return 2;
  if (argc > 1 && std::strncmp(argv[1], "--peak=", 7) == 0) return print_peak(*isa, std::atoi(argv[1] + 7));
  const char* part = argc > 2 ? argv[2] : "";
  Engine engine(1, *isa);

  std::vector<Work> list;
  // Width 96 (quickstart, 32 images), ViT-S/14 (4 images), ViT-L/14 (2 images), heads, squares.
  for (auto [in, out, gelu] : {std::tuple<int64_t, int64_t, bool>{96, 288, false}, {96, 96, false}, {96, 384, true}, {384, 96, false}}) {
    add_linear(list, 7424, in, out, gelu);
    add_gradients(list, 7424, in, out, in == 384);
  }
  for (auto [in, out, gelu] : {std::tuple<int64_t, int64_t, bool>{384, 1152, false}, {384, 384, false}, {384, 1536, true}, {1536, 384, false}}) {
    add_linear(list, 3656, in, out, gelu);
    add_gradients(list, 3656, in, out, in == 1536);
  }
  for (auto [in, out, gelu] : {std::tuple<int64_t, int64_t, bool>{1024, 1024, false}, {1024, 4096, true}, {4096, 1024, false}}) {
    add_linear(list, 1828, in, out, gelu);
    add_gradients(list, 1828, in, out, in == 4096);
  }
  add_linear(list, 500, 384, 2048, true);
  add_linear(list, 500, 2048, 2048, true);
  add_gradients(list, 500, 2048, 2048, false);
  add_linear(list, 2048, 2048, 2048, false);
  add_attention(list, {{64, 65}, {192, 17}}, 3, 96);
  add_attention(list, {{64, 65}}, 3, 96);
  add_attention(list, {{192, 17}}, 3, 96);
  add_attention(list, {{8, 257}, {32, 50}}, 6, 384);
  add_attention(list, {{4, 1370}}, 6, 384);
  add_rows(list, 7424, 96);
  add_rows(list, 3656, 384);
  add_prototypes(list, 640, 64, 512);
  add_prototypes(list, 600, 256, 16384);
  add_prototypes(list, 600, 256, 131072);

  for (size_t i = 0, n = list.size(); i < n; i++)
    if (list[i].flops > 0) list.push_back(in_bf16(list[i]));

  std::printf("%s, one thread; percentages of what multiply-adds alone reach beside each kernel\n", isa->title);
  for (const Work& work : list) {
    if (work.name.find(part) == std::string::npos) continue;
    const auto [seconds, peak] = measure(work, engine);
    if (work.flops > 0)
      std::printf("%-58s %9.3f ms %7.1f GFLOP/s %5.1f %% of %.0f\n", work.name.c_str(), seconds * 1e3,
                  work.flops / seconds / 1e9, 100 * work.flops / seconds / 1e9 / peak, peak);
    else
      std::printf("%-58s %9.3f ms %7.1f GB/s\n", work.name.c_str(), seconds * 1e3, work.bytes / seconds / 1e9);
  }
  return 0;
}
