#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <string>

// Reading arguments and making values. What does not fit throws in JavaScript, and the function that found it returns.

namespace dino {

inline bool ok(napi_env env, napi_status status) {
  if (status == napi_ok) return true;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, "the native device was called with arguments that it does not know");
  return false;
}

template <size_t N>
bool arguments(napi_env env, napi_callback_info info, napi_value (&values)[N]) {
  size_t count = N;
  if (!ok(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr))) return false;
  return count == N || ok(env, napi_invalid_arg);
}

template <class T>
T* external(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_valuetype type = napi_undefined;
  if (!ok(env, napi_typeof(env, value, &type))) return nullptr;
  if (type != napi_external) return ok(env, napi_invalid_arg), nullptr;
  if (!ok(env, napi_get_value_external(env, value, &data))) return nullptr;
  return static_cast<T*>(data);
}

struct Array {
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;
};
inline bool typed_array(napi_env env, napi_value value, Array& array) {
  return ok(env, napi_get_typedarray_info(env, value, &array.type, &array.length, &array.data, nullptr, nullptr));
}

inline bool index_below(napi_env env, napi_value value, size_t bound, size_t& index) {
  int64_t number = 0;
  if (!ok(env, napi_get_value_int64(env, value, &number))) return false;
  if (number < 0 || static_cast<size_t>(number) >= bound) return ok(env, napi_invalid_arg);
  index = static_cast<size_t>(number);
  return true;
}

inline napi_value string_of(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.c_str(), text.size(), &value);
  return value;
}
inline napi_value number_of(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

}  // namespace dino
