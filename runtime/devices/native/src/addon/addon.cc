// The Node-API face of the executor. No static state: each environment (a worker, a test context) that loads it has
// its own. Arguments come from native.ts alone, which checks names and plans; what is checked here is what memory
// safety needs.
#include "napi.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "../executor.h"
#include "../queue.h"

namespace dino {

napi_value augment_view(napi_env env, napi_callback_info info);  // views.cc

namespace {

/** A plan loaded, and the metrics and bytes exchanged as its last run left them. */
struct Loaded {
  std::unique_ptr<Executor> executor;
  std::shared_ptr<RankGroup> group;
  std::vector<int64_t> collective_bytes = std::vector<int64_t>(collective_kind_count);
  std::vector<size_t> metrics;
  std::mutex mutex;
  std::vector<std::vector<char>> snapshot;
};

/** Of the host's array: bf16 crosses the border as float. */
size_t bytes_of(const Tensor& t) { return static_cast<size_t>(t.elements) * 4; }

void copy_in(const Tensor& t, const void* from) {
  if (t.dtype != DType::bf16) {
    std::memcpy(t.data, from, bytes_of(t));
    return;
  }
  for (int64_t i = 0; i < t.elements; i++) static_cast<uint16_t*>(t.data)[i] = to_bf16(static_cast<const float*>(from)[i]);
}
void copy_out(const Tensor& t, void* to) {
  if (t.dtype != DType::bf16) {
    std::memcpy(to, t.data, bytes_of(t));
    return;
  }
  for (int64_t i = 0; i < t.elements; i++) static_cast<float*>(to)[i] = from_bf16(static_cast<const uint16_t*>(t.data)[i]);
}

/** A group for every plan that the ranks load: the first of each rank meet, then the second of each, and so on. */
struct Ranks {
  explicit Ranks(int count) : loaded(static_cast<size_t>(count)) {}

  Membership join(int rank) {
    const size_t plan = loaded[static_cast<size_t>(rank)]++;
    if (plan == groups.size()) groups.push_back(std::make_shared<RankGroup>(static_cast<int>(loaded.size())));
    const std::shared_ptr<RankGroup> group = groups[plan];
    if (*std::min_element(loaded.begin(), loaded.end()) > plan) groups[plan].reset();  // all are in
    return Membership{group, rank};
  }

  std::vector<size_t> loaded;  // plans by rank
  std::vector<std::shared_ptr<RankGroup>> groups;
};

struct Device {
  Device(int threads, const Isa& isa) : engine(threads, isa) {}
  Engine engine;
  std::atomic<bool> stop{false};
  napi_env env = nullptr;
  napi_threadsafe_function done = nullptr;
  int64_t pending = 0;  // on the JavaScript thread only
  std::unique_ptr<Queue> queue;
  std::vector<std::weak_ptr<RankGroup>> groups;  // of the plans loaded on it
};

/** One request on its way through the queue and back. */
struct Work {
  Device* device = nullptr;
  napi_deferred deferred = nullptr;  // null: nobody waits
  napi_ref array = nullptr;          // keeps the memory of a typed array
  Outcome outcome;
  bool reports = false;              // resolves with the outcome
};

/** A Float32Array or Int32Array that fits a tensor. */
bool fitting(napi_env env, napi_value value, DType dtype, int64_t elements, Array& array) {
  if (!typed_array(env, value, array)) return false;
  const bool fits = array.length == static_cast<size_t>(elements) &&
                    array.type == (dtype == DType::i32 ? napi_int32_array : napi_float32_array);
  return fits || ok(env, napi_invalid_arg);
}

// --- the way back: on the JavaScript thread

void settle(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Work> work(static_cast<Work*>(data));
  if (!env) return;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  if (--work->device->pending == 0 && work->device->done) napi_unref_threadsafe_function(env, work->device->done);
  if (work->array) napi_delete_reference(env, work->array);
  if (work->deferred) {
    napi_value result = nullptr;
    napi_get_undefined(env, &result);
    const Fault& fault = work->outcome.fault;
    if (work->reports && fault.code != FaultCode::none) {
      const double parts[] = {static_cast<double>(fault.code), static_cast<double>(work->outcome.step),
                              static_cast<double>(fault.operand), static_cast<double>(fault.value),
                              static_cast<double>(fault.bound)};
      napi_create_array(env, &result);
      for (uint32_t i = 0; i < 5; i++) napi_set_element(env, result, i, number_of(env, parts[i]));
    }
    napi_resolve_deferred(env, work->deferred, result);
  }
  napi_close_handle_scope(env, scope);
}

/** Queues `job`; the promise it returns is settled when the job is done. */
template <class Job>
napi_value enqueue(napi_env env, Device* device, std::unique_ptr<Work> work, bool waits, Job job) {
  napi_value promise = nullptr;
  napi_get_undefined(env, &promise);
  if (!device->queue) return ok(env, napi_closing), promise;
  if (waits && !ok(env, napi_create_promise(env, &work->deferred, &promise))) return nullptr;
  work->device = device;
  if (device->pending++ == 0) napi_ref_threadsafe_function(env, device->done);
  // The queue's functions must be copyable.
  Work* const raw = work.release();
  device->queue->add([device, raw, job] {
    job(*raw);
    if (napi_call_threadsafe_function(device->done, raw, napi_tsfn_blocking) != napi_ok) delete raw;
  });
  return promise;
}

void end(Device* device) {
  device->stop.store(true);
  for (const std::weak_ptr<RankGroup>& held : device->groups)
    if (const std::shared_ptr<RankGroup> group = held.lock()) group->stop();
  device->queue.reset();
}

/** Ends the thread, then the function that it calls: what is still on its way back is dropped. */
void end_for_good(Device* device) {
  end(device);
  if (device->done) napi_release_threadsafe_function(device->done, napi_tsfn_abort);
  device->done = nullptr;
}

void end_with_environment(void* device) { end_for_good(static_cast<Device*>(device)); }

// --- functions

napi_value kinds(napi_env env, napi_callback_info) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  for (int i = 0; i < kind_count; i++) napi_set_element(env, list, static_cast<uint32_t>(i), string_of(env, kind_names[i]));
  return list;
}

/** [name, title, supported] of each set, the best first. */
napi_value instruction_set_list(napi_env env, napi_callback_info) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  uint32_t at = 0;
  for (const Isa& isa : instruction_sets()) {
    napi_value entry = nullptr, supported = nullptr;
    napi_create_array(env, &entry);
    napi_get_boolean(env, isa.supported, &supported);
    napi_set_element(env, entry, 0, string_of(env, isa.name));
    napi_set_element(env, entry, 1, string_of(env, isa.title));
    napi_set_element(env, entry, 2, supported);
    napi_set_element(env, list, at++, entry);
  }
  return list;
}

/** (threads, number of the instruction set) -> device */
napi_value open_device(napi_env env, napi_callback_info info) {
  napi_value values[2];
  if (!arguments(env, info, values)) return nullptr;
  const std::vector<Isa> sets = instruction_sets();
  size_t threads = 0, set = 0;
  if (!index_below(env, values[0], 4097, threads) || !index_below(env, values[1], sets.size(), set)) return nullptr;
  if (threads == 0 || !sets[set].supported) return ok(env, napi_invalid_arg), nullptr;
  auto device = std::make_unique<Device>(static_cast<int>(threads), sets[set]);
  device->env = env;
  if (!ok(env, napi_create_threadsafe_function(env, nullptr, nullptr, string_of(env, "dinoc native device"), 0, 1, nullptr,
                                               nullptr, nullptr, settle, &device->done)))
    return nullptr;
  napi_unref_threadsafe_function(env, device->done);
  device->queue = std::make_unique<Queue>();
  // Hooks run last first, so this one before the function's own.
  napi_add_env_cleanup_hook(env, end_with_environment, device.get());
  napi_value value = nullptr;
  Device* const raw = device.get();
  const auto finalize = [](napi_env env, void* data, void*) {
    Device* const device = static_cast<Device*>(data);
    if (device->done) napi_remove_env_cleanup_hook(env, end_with_environment, device);
    end_for_good(device);
    delete device;
  };
  if (!ok(env, napi_create_external(env, raw, finalize, nullptr, &value))) return nullptr;
  device.release();
  return value;
}

/** (device): stops what runs. */
napi_value close_device(napi_env env, napi_callback_info info) {
  napi_value values[1];
  if (!arguments(env, info, values)) return nullptr;
  if (Device* device = external<Device>(env, values[0])) end(device);
  return nullptr;
}

/** (Float64Array of dtype, elements for each tensor) -> state, or undefined where memory does not suffice */
napi_value create_state(napi_env env, napi_callback_info info) {
  napi_value values[1];
  Array array;
  if (!arguments(env, info, values) || !typed_array(env, values[0], array)) return nullptr;
  if (array.type != napi_float64_array || array.length % 2 != 0) return ok(env, napi_invalid_arg), nullptr;
  const double* words = static_cast<const double*>(array.data);
  std::vector<StateTensor> tensors;
  for (size_t i = 0; i < array.length; i += 2) {
    if (!(words[i + 1] >= 0 && words[i + 1] < 9e15)) return nullptr;  // no memory is as large
    tensors.push_back(StateTensor{words[i] == 2 ? DType::i32 : DType::f32, static_cast<int64_t>(words[i + 1])});
  }
  std::shared_ptr<State> state = State::create(tensors);
  if (!state) return nullptr;
  napi_value value = nullptr;
  auto* held = new std::shared_ptr<State>(std::move(state));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<State>*>(data); };
  if (!ok(env, napi_create_external(env, held, finalize, nullptr, &value))) delete held;
  return value;
}

/** (state): frees its memory once no plan is bound to it. */
napi_value close_state(napi_env env, napi_callback_info info) {
  napi_value values[1];
  if (!arguments(env, info, values)) return nullptr;
  if (auto* state = external<std::shared_ptr<State>>(env, values[0])) state->reset();
  return nullptr;
}

/** (device, state, index, first value, typed array, whether to write) -> promise */
napi_value transfer_state(napi_env env, napi_callback_info info) {
  napi_value values[6];
  if (!arguments(env, info, values)) return nullptr;
  Device* device = external<Device>(env, values[0]);
  auto* held = external<std::shared_ptr<State>>(env, values[1]);
  if (!device || !held) return nullptr;
  if (!*held) return ok(env, napi_invalid_arg), nullptr;
  const std::shared_ptr<State> state = *held;
  size_t index = 0, first = 0;
  bool write = false;
  Array array;
  if (!index_below(env, values[2], state->tensors().size(), index)) return nullptr;
  const StateTensor& tensor = state->tensors()[index];
  if (!index_below(env, values[3], static_cast<size_t>(tensor.elements) + 1, first)) return nullptr;
  if (!typed_array(env, values[4], array)) return nullptr;
  const size_t left = static_cast<size_t>(tensor.elements) - first, length = array.length < left ? array.length : left;
  if (!fitting(env, values[4], tensor.dtype, static_cast<int64_t>(length), array)) return nullptr;
  if (!ok(env, napi_get_value_bool(env, values[5], &write))) return nullptr;
  auto work = std::make_unique<Work>();
  napi_create_reference(env, values[4], 1, &work->array);
  void* const data = array.data;
  const size_t offset = first * 4, bytes = array.length * 4;
  return enqueue(env, device, std::move(work), true, [state, index, write, data, offset, bytes](Work&) {
    char* const held = static_cast<char*>(state->data(index)) + offset;
    if (write)
      std::memcpy(held, data, bytes);
    else
      std::memcpy(data, held, bytes);
  });
}

/** (ranks) -> group */
napi_value create_group(napi_env env, napi_callback_info info) {
  napi_value values[1], value = nullptr;
  size_t ranks = 0;
  if (!arguments(env, info, values) || !index_below(env, values[0], max_ranks + 1, ranks)) return nullptr;
  if (ranks == 0) return ok(env, napi_invalid_arg), nullptr;
  auto group = std::make_unique<Ranks>(static_cast<int>(ranks));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Ranks*>(data); };
  if (!ok(env, napi_create_external(env, group.get(), finalize, nullptr, &value))) return nullptr;
  group.release();
  return value;
}

/** A place among the ranks of a group, or as the only one where `group` is undefined. */
bool membership(napi_env env, Device* device, napi_value group, napi_value rank, Membership& member) {
  napi_valuetype type = napi_undefined;
  if (!ok(env, napi_typeof(env, group, &type))) return false;
  if (type == napi_undefined) {
    member = Membership{std::make_shared<RankGroup>(1), 0};
    return true;
  }
  Ranks* ranks = external<Ranks>(env, group);
  size_t number = 0;
  if (!ranks || !index_below(env, rank, ranks->loaded.size(), number)) return false;
  member = ranks->join(static_cast<int>(number));
  auto& groups = device->groups;
  groups.erase(std::remove_if(groups.begin(), groups.end(), [](const auto& held) { return held.expired(); }), groups.end());
  groups.push_back(member.group);
  return true;
}

/**
 * (device, Float64Array plan, state, Int32Array metric tensors, group or undefined, rank) -> executable, or [reason,
 * message, program, step, tensor]
 */
napi_value load_plan(napi_env env, napi_callback_info info) {
  napi_value values[6];
  if (!arguments(env, info, values)) return nullptr;
  Device* device = external<Device>(env, values[0]);
  auto* held = device ? external<std::shared_ptr<State>>(env, values[2]) : nullptr;
  Array words, metrics;
  if (!held || !typed_array(env, values[1], words) || !typed_array(env, values[3], metrics)) return nullptr;
  if (!*held || words.type != napi_float64_array || metrics.type != napi_int32_array)
    return ok(env, napi_invalid_arg), nullptr;
  LoadError error;
  Membership member;
  if (!membership(env, device, values[4], values[5], member)) return nullptr;
  auto loaded = std::make_shared<Loaded>();
  loaded->group = member.group;
  loaded->executor = Executor::load(static_cast<const double*>(words.data), words.length, *held, error, member);
  napi_value value = nullptr;
  if (!loaded->executor) {
    member.group->stop();
    napi_create_array(env, &value);
    napi_set_element(env, value, 0, number_of(env, static_cast<double>(error.reason)));
    napi_set_element(env, value, 1, string_of(env, error.message));
    napi_set_element(env, value, 2, number_of(env, static_cast<double>(error.program)));
    napi_set_element(env, value, 3, number_of(env, static_cast<double>(error.step)));
    napi_set_element(env, value, 4, number_of(env, static_cast<double>(error.tensor)));
    return value;
  }
  for (size_t i = 0; i < metrics.length; i++) {
    const int32_t id = static_cast<const int32_t*>(metrics.data)[i];
    if (id < 0 || static_cast<size_t>(id) >= loaded->executor->tensors()) return ok(env, napi_invalid_arg), nullptr;
    loaded->metrics.push_back(static_cast<size_t>(id));
    loaded->snapshot.emplace_back(bytes_of(loaded->executor->tensor(static_cast<size_t>(id))));
  }
  auto* kept = new std::shared_ptr<Loaded>(std::move(loaded));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Loaded>*>(data); };
  if (!ok(env, napi_create_external(env, kept, finalize, nullptr, &value))) delete kept;
  return value;
}

std::shared_ptr<Loaded> loaded_of(napi_env env, napi_value value) {
  auto* held = external<std::shared_ptr<Loaded>>(env, value);
  if (!held) return nullptr;
  if (!*held) ok(env, napi_invalid_arg);
  return *held;
}

/** (device, group, rank): the rank will not load the plan that the others load now; they do not wait for it. */
napi_value skip_plan(napi_env env, napi_callback_info info) {
  napi_value values[3];
  if (!arguments(env, info, values)) return nullptr;
  Device* device = external<Device>(env, values[0]);
  Membership member;
  if (device && membership(env, device, values[1], values[2], member)) member.group->stop();
  return nullptr;
}

/** (executable): frees its arenas after what is queued; no rank waits for another of its group any more. */
napi_value close_plan(napi_env env, napi_callback_info info) {
  napi_value values[1];
  if (!arguments(env, info, values)) return nullptr;
  auto* held = external<std::shared_ptr<Loaded>>(env, values[0]);
  if (!held) return nullptr;
  if (*held) (*held)->group->stop();
  held->reset();
  return nullptr;
}

/** What (device, executable, tensor, typed array) say, where the array fits the tensor. */
struct Transfer {
  Device* device = nullptr;
  std::shared_ptr<Loaded> loaded;
  size_t index = 0;
  napi_value values[4];
  Array array;

  const Tensor& tensor() const { return loaded->executor->tensor(index); }
};
bool transfer_of(napi_env env, napi_callback_info info, Transfer& t) {
  if (!arguments(env, info, t.values)) return false;
  t.device = external<Device>(env, t.values[0]);
  if (t.device) t.loaded = loaded_of(env, t.values[1]);
  return t.loaded && index_below(env, t.values[2], t.loaded->executor->tensors(), t.index) &&
         fitting(env, t.values[3], t.tensor().dtype, t.tensor().elements, t.array);
}

/** (device, executable, tensor, typed array): copied before it returns, seen by the runs that are asked for later. */
napi_value write_tensor(napi_env env, napi_callback_info info) {
  Transfer t;
  if (!transfer_of(env, info, t)) return nullptr;
  if (t.device->pending == 0) {
    copy_in(t.tensor(), t.array.data);
    return nullptr;
  }
  const char* bytes = static_cast<const char*>(t.array.data);
  auto copy = std::make_shared<std::vector<char>>(bytes, bytes + bytes_of(t.tensor()));
  enqueue(env, t.device, std::make_unique<Work>(), false, [loaded = t.loaded, index = t.index, copy](Work&) {
    copy_in(loaded->executor->tensor(index), copy->data());
  });
  return nullptr;
}

/** (device, executable, tensor, typed array) -> promise */
napi_value read_tensor(napi_env env, napi_callback_info info) {
  Transfer t;
  if (!transfer_of(env, info, t)) return nullptr;
  auto work = std::make_unique<Work>();
  napi_create_reference(env, t.values[3], 1, &work->array);
  void* const data = t.array.data;
  return enqueue(env, t.device, std::move(work), true, [loaded = t.loaded, index = t.index, data](Work&) {
    copy_out(loaded->executor->tensor(index), data);
  });
}

/** (device, executable, program) -> promise of nothing, or of [fault, step, operand, value, bound] */
napi_value run_program(napi_env env, napi_callback_info info) {
  napi_value values[3];
  if (!arguments(env, info, values)) return nullptr;
  Device* device = external<Device>(env, values[0]);
  const std::shared_ptr<Loaded> loaded = device ? loaded_of(env, values[1]) : nullptr;
  size_t program = 0;
  if (!loaded || !index_below(env, values[2], loaded->executor->programs(), program)) return nullptr;
  auto work = std::make_unique<Work>();
  work->reports = true;
  return enqueue(env, device, std::move(work), true, [device, loaded, program](Work& work) {
    work.outcome = loaded->executor->run(program, device->engine, device->stop);
    std::lock_guard<std::mutex> lock(loaded->mutex);
    loaded->collective_bytes = loaded->executor->collective_bytes();
    for (size_t i = 0; i < loaded->metrics.size(); i++)
      copy_out(loaded->executor->tensor(loaded->metrics[i]), loaded->snapshot[i].data());
  });
}

/** (executable, number of the metric, typed array): as it was after the last run that ended. */
napi_value read_metric(napi_env env, napi_callback_info info) {
  napi_value values[3];
  if (!arguments(env, info, values)) return nullptr;
  const std::shared_ptr<Loaded> loaded = loaded_of(env, values[0]);
  size_t metric = 0;
  Array array;
  if (!loaded || !index_below(env, values[1], loaded->metrics.size(), metric)) return nullptr;
  const Tensor& tensor = loaded->executor->tensor(loaded->metrics[metric]);
  if (!fitting(env, values[2], tensor.dtype, tensor.elements, array)) return nullptr;
  std::lock_guard<std::mutex> lock(loaded->mutex);
  std::memcpy(array.data, loaded->snapshot[metric].data(), loaded->snapshot[metric].size());
  return nullptr;
}

/** (executable) -> [bytes of each kind of collective] exchanged by the runs that ended */
napi_value collective_bytes(napi_env env, napi_callback_info info) {
  napi_value values[1], list = nullptr;
  if (!arguments(env, info, values)) return nullptr;
  const std::shared_ptr<Loaded> loaded = loaded_of(env, values[0]);
  if (!loaded) return nullptr;
  napi_create_array(env, &list);
  std::lock_guard<std::mutex> lock(loaded->mutex);
  uint32_t at = 0;
  for (int64_t bytes : loaded->collective_bytes) napi_set_element(env, list, at++, number_of(env, static_cast<double>(bytes)));
  return list;
}

/** (device, executable, program, Float64Array of its steps) -> promise: seconds since the last call */
napi_value read_seconds(napi_env env, napi_callback_info info) {
  napi_value values[4];
  if (!arguments(env, info, values)) return nullptr;
  Device* device = external<Device>(env, values[0]);
  const std::shared_ptr<Loaded> loaded = device ? loaded_of(env, values[1]) : nullptr;
  size_t program = 0;
  Array array;
  if (!loaded || !index_below(env, values[2], loaded->executor->programs(), program)) return nullptr;
  if (!typed_array(env, values[3], array)) return nullptr;
  if (array.type != napi_float64_array) return ok(env, napi_invalid_arg), nullptr;
  auto work = std::make_unique<Work>();
  napi_create_reference(env, values[3], 1, &work->array);
  double* const to = static_cast<double*>(array.data);
  const size_t length = array.length;
  return enqueue(env, device, std::move(work), true, [loaded, program, to, length](Work&) {
    const std::vector<double> seconds = loaded->executor->take_seconds(program);
    for (size_t i = 0; i < length && i < seconds.size(); i++) to[i] = seconds[i];
  });
}

}  // namespace
}  // namespace dino

NAPI_MODULE_INIT() {
  using namespace dino;
#if defined(__GLIBC__)
  // What is large goes back to the system when it is freed. By default glibc keeps ever larger blocks in its heaps, one
  // for each thread, where buffers of images leave holes: some 50 MB of a run.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"kinds", kinds},
      {"instructionSets", instruction_set_list},
      {"openDevice", open_device},
      {"closeDevice", close_device},
      {"createState", create_state},
      {"closeState", close_state},
      {"transferState", transfer_state},
      {"createGroup", create_group},
      {"loadPlan", load_plan},
      {"skipPlan", skip_plan},
      {"closePlan", close_plan},
      {"writeTensor", write_tensor},
      {"readTensor", read_tensor},
      {"runProgram", run_program},
      {"readMetric", read_metric},
      {"readSeconds", read_seconds},
      {"collectiveBytes", collective_bytes},
      {"augmentView", augment_view},
  };
  for (const auto& f : functions) {
    napi_value value = nullptr;
    if (napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &value) != napi_ok ||
        napi_set_named_property(env, exports, f.name, value) != napi_ok)
      return nullptr;
  }
  return exports;
}
