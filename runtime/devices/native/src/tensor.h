#pragma once
#include <cstddef>
#include <cstdint>

// Plain data that the executor hands to kernels. Nothing here has an out-of-line inline function: kernels are
// compiled once per instruction set, and a function shared between those objects could hold instructions that the
// machine at hand does not have.

namespace dino {

enum class DType : int { f32 = 0, bf16 = 1, i32 = 2 };

struct Group {
  int64_t count;   // sequences
  int64_t length;  // tokens in each
};

inline constexpr int max_rank = 6;

struct Tensor {
  DType dtype;
  int rank;
  int64_t shape[max_rank];
  int64_t elements;
  int group_count;  // segments of a ragged tensor; 0 where it has none
  const Group* groups;
  void* data;
};

/** Rows of `[R, ...]`; a scalar is one row. */
static inline int64_t rows_of(const Tensor& t) { return t.rank == 0 ? 1 : t.shape[0]; }
/** Elements in a row of `[R, ...]`. */
static inline int64_t columns_of(const Tensor& t) {
  int64_t n = 1;
  for (int i = 1; i < t.rank; i++) n *= t.shape[i];
  return n;
}
/** `[..., n]` as rows of n. */
static inline int64_t last_dim(const Tensor& t) { return t.rank == 0 ? 1 : t.shape[t.rank - 1]; }

/** One bf16 at the border; kernels have vectors of them. To nearest, ties to even; NaN stays NaN. */
static inline uint16_t to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
static inline float from_bf16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

enum class FaultCode : int { none = 0, index = 1, rows = 2, stopped = 3, memory = 4, rank_stopped = 5, ranks_differ = 6 };

/**
 * Why a run ended before its end: a value that must not be used (an index or a row count outside its tensor), the
 * device closed, no memory, another rank of the group stopped, ranks at different steps.
 */
struct Fault {
  FaultCode code;
  int operand;
  int64_t value;
  int64_t bound;
};

/** Scratch memory of one step. `take` is for the thread that starts the step, never inside `parallel`. */
class Workspace;
void* workspace_take(Workspace& workspace, size_t bytes);
/** What is taken after `workspace_mark` is free again after `workspace_release`. */
size_t workspace_mark(const Workspace& workspace);
void workspace_release(Workspace& workspace, size_t mark);

/** A pool of threads. `pool_run` calls fn(context, task, thread) once for every task and returns when all are done. */
class Pool;
int pool_threads(const Pool& pool);
void pool_run(Pool& pool, int64_t tasks, void (*fn)(void* context, int64_t task, int thread), void* context);

/** One step of a plan, ready to run. Absent optional operands are null. */
struct Call {
  const Tensor* const* in;
  const Tensor* const* out;
  const double* attr;
  int in_count;
  int out_count;
  int attr_count;
  Workspace* workspace;
  Pool* pool;
  Fault* fault;
};

static inline float* f32_of(const Tensor* t) { return static_cast<float*>(t->data); }
static inline int32_t* i32_of(const Tensor* t) { return static_cast<int32_t*>(t->data); }

/**
 * Runs body(task, thread) for every task. The tasks are fixed by shapes alone and each writes its own memory, so
 * results do not depend on the number of threads.
 */
template <class Body>
static inline void parallel(const Call& call, int64_t tasks, const Body& body) {
  pool_run(
      *call.pool, tasks,
      [](void* context, int64_t task, int thread) { (*static_cast<const Body*>(context))(task, thread); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

template <class T>
static inline T* take(const Call& call, int64_t count) {
  return static_cast<T*>(workspace_take(*call.workspace, static_cast<size_t>(count > 0 ? count : 1) * sizeof(T)));
}

/** Records the first fault of the step. */
static inline void report(const Call& call, FaultCode code, int operand, int64_t value, int64_t bound) {
  if (call.fault->code == FaultCode::none) *call.fault = Fault{code, operand, value, bound};
}

/** The host scalar `rows` of an operand whose first dimension is only a bound; the bound where it is absent. */
static inline int64_t row_limit(const Call& call, int operand, int64_t bound) {
  if (operand >= call.in_count || call.in[operand] == nullptr) return bound;
  const int64_t rows = i32_of(call.in[operand])[0];
  if (rows >= 0 && rows <= bound) return rows;
  report(call, FaultCode::rows, operand, rows, bound);
  return 0;
}

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace dino
