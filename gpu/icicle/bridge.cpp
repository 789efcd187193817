//go:build icicle

#include "bridge.h"

#include <cstring>
#include <exception>
#include <string>

// ICICLE's own functions and structures, as its C interface has them in version
// 3.2.2. Scalars are eight limbs of 32 bits; sizes of points do not matter here.
namespace {

struct device {
  char type[64];
  int id;
};

struct scalar {
  uint32_t limbs[8];
};

struct vec_config {
  void* stream;
  bool a_on_device, b_on_device, result_on_device, async;
  int batch;
  bool columns;
  void* ext;
};

struct ntt_config {
  void* stream;
  scalar coset;
  int batch;
  bool columns;
  int ordering;
  bool inputs_on_device, outputs_on_device, async;
  void* ext;
};

struct ntt_init_config {
  void* stream;
  bool async;
  void* ext;
};

struct msm_config {
  void* stream;
  int factor, window, bits, batch;
  bool points_shared, scalars_on_device, scalars_montgomery, points_on_device, points_montgomery, results_on_device, async;
  void* ext;
};

} // namespace

extern "C" {
int icicle_load_backend(const char* path, bool recursive);
int icicle_set_device(const device*);
int icicle_is_device_available(const device*);
int icicle_get_available_memory(size_t* total, size_t* free);
int icicle_malloc(void**, size_t);
int icicle_free(void*);
int icicle_memset_async(void*, int, size_t, void* stream);
int icicle_copy_to_device_async(void*, const void*, size_t, void* stream);
int icicle_copy_to_host_async(void*, const void*, size_t, void* stream);
int icicle_create_stream(void**);
int icicle_destroy_stream(void*);
int icicle_stream_synchronize(void*);

int bn254_scalar_convert_montgomery(const void*, uint64_t, bool into, const vec_config*, void*);
int bn254_affine_convert_montgomery(const void*, size_t, bool into, const vec_config*, void*);
int bn254_g2_affine_convert_montgomery(const void*, size_t, bool into, const vec_config*, void*);
int bn254_vector_mul(const void*, const void*, uint64_t, const vec_config*, void*);
int bn254_vector_sub(const void*, const void*, uint64_t, const vec_config*, void*);
int bn254_ntt_init_domain(const void* root, const ntt_init_config*);
int bn254_ntt_release_domain(void);
int bn254_ntt(const void*, int, int direction, const ntt_config*, void*);
int bn254_msm(const void*, const void*, int, const msm_config*, void*);
int bn254_g2_msm(const void*, const void*, int, const msm_config*, void*);
int bn254_msm_precompute_bases(const void*, int, const msm_config*, void*);
int bn254_g2_msm_precompute_bases(const void*, int, const msm_config*, void*);
}

namespace {

thread_local std::string message;

device named(const char* type, int id)
{
  device d{};
  std::strncpy(d.type, type, sizeof d.type - 1);
  d.id = id;
  return d;
}

vec_config in_place(void* stream) { return {stream, true, true, true, true, 1, false, nullptr}; }

msm_config on_device(int window, int factor, void* stream)
{
  return {stream, factor, window, 0, 1, true, true, false, true, false, false, false, nullptr};
}

// CUDA remembers the last error of a thread until it is asked for, and ICICLE's
// next call on the thread, perhaps for another proof, would take it for its own.
// This call on nothing asks.
void forget_error()
{
  vec_config config = in_place(nullptr);
  bn254_vector_sub(nullptr, nullptr, 0, &config, nullptr);
}

template <typename F>
int guarded(F call) noexcept
{
  try {
    int err = call();
    if (err) forget_error();
    return err;
  } catch (const std::exception& e) {
    message = e.what();
  } catch (...) {
    message = "an exception that is no std::exception";
  }
  return gm_exception;
}

} // namespace

extern "C" {

const char* gm_message(void) { return message.c_str(); }

int gm_load_backends(const char* dir)
{
  return guarded([&] { return icicle_load_backend(dir, true); });
}

int gm_is_available(const char* type)
{
  return guarded([&] {
    device d = named(type, 0);
    return icicle_is_device_available(&d);
  });
}

int gm_set_device(const char* type, int id)
{
  return guarded([&] {
    device d = named(type, id);
    return icicle_set_device(&d);
  });
}

int gm_available_memory(size_t* total, size_t* free)
{
  return guarded([&] { return icicle_get_available_memory(total, free); });
}

int gm_malloc(void** ptr, size_t size)
{
  return guarded([&] { return icicle_malloc(ptr, size); });
}

int gm_free(void* ptr)
{
  return guarded([&] { return icicle_free(ptr); });
}

int gm_zero(void* ptr, size_t size, void* stream)
{
  return guarded([&] { return icicle_memset_async(ptr, 0, size, stream); });
}

int gm_upload(void* dst, const void* src, size_t size, void* stream)
{
  return guarded([&] { return icicle_copy_to_device_async(dst, src, size, stream); });
}

int gm_download(void* dst, const void* src, size_t size, void* stream)
{
  return guarded([&] {
    int err = icicle_copy_to_host_async(dst, src, size, stream);
    return err ? err : icicle_stream_synchronize(stream);
  });
}

int gm_stream_create(void** stream)
{
  return guarded([&] { return icicle_create_stream(stream); });
}

int gm_stream_destroy(void* stream)
{
  return guarded([&] { return icicle_destroy_stream(stream); });
}

int gm_stream_wait(void* stream)
{
  return guarded([&] { return icicle_stream_synchronize(stream); });
}

int gm_plain_scalars(void* data, uint64_t n, void* stream)
{
  return guarded([&] {
    vec_config config = in_place(stream);
    return bn254_scalar_convert_montgomery(data, n, false, &config, data);
  });
}

int gm_plain_g1(void* data, size_t n, void* stream)
{
  return guarded([&] {
    vec_config config = in_place(stream);
    return bn254_affine_convert_montgomery(data, n, false, &config, data);
  });
}

int gm_plain_g2(void* data, size_t n, void* stream)
{
  return guarded([&] {
    vec_config config = in_place(stream);
    return bn254_g2_affine_convert_montgomery(data, n, false, &config, data);
  });
}

int gm_mul(void* a, const void* b, uint64_t n, void* stream)
{
  return guarded([&] {
    vec_config config = in_place(stream);
    return bn254_vector_mul(a, b, n, &config, a);
  });
}

int gm_sub(void* a, const void* b, uint64_t n, void* stream)
{
  return guarded([&] {
    vec_config config = in_place(stream);
    return bn254_vector_sub(a, b, n, &config, a);
  });
}

int gm_ntt_init(const void* root)
{
  return guarded([&] {
    ntt_init_config config{nullptr, false, nullptr};
    return bn254_ntt_init_domain(root, &config);
  });
}

int gm_ntt_release(void)
{
  return guarded([&] { return bn254_ntt_release_domain(); });
}

int gm_ntt(void* data, int n, int batch, bool inverse, int ordering, const void* coset, void* stream)
{
  return guarded([&] {
    ntt_config config{stream, {}, batch, false, ordering, true, true, true, nullptr};
    std::memcpy(&config.coset, coset, sizeof config.coset);
    return bn254_ntt(data, n, inverse ? 1 : 0, &config, data);
  });
}

int gm_msm_g1(const void* scalars, const void* points, int n, int window, int factor, void* result, void* stream)
{
  return guarded([&] {
    msm_config config = on_device(window, factor, stream);
    return bn254_msm(scalars, points, n, &config, result);
  });
}

int gm_msm_g2(const void* scalars, const void* points, int n, int window, int factor, void* result, void* stream)
{
  return guarded([&] {
    msm_config config = on_device(window, factor, stream);
    return bn254_g2_msm(scalars, points, n, &config, result);
  });
}

int gm_precompute_g1(const void* points, int n, int window, int factor, void* out, void* stream)
{
  return guarded([&] {
    msm_config config = on_device(window, factor, stream);
    return bn254_msm_precompute_bases(points, n, &config, out);
  });
}

int gm_precompute_g2(const void* points, int n, int window, int factor, void* out, void* stream)
{
  return guarded([&] {
    msm_config config = on_device(window, factor, stream);
    return bn254_g2_msm_precompute_bases(points, n, &config, out);
  });
}

} // extern "C"
