// The part of ICICLE's C interface that the engine uses, for BN254, behind
// functions that throw nothing. Each returns ICICLE's error code, or
// gm_exception after an exception, whose text gm_message gives on the same
// thread.
#ifndef GRISTMILL_ICICLE_BRIDGE_H
#define GRISTMILL_ICICLE_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { gm_exception = 1000 };

const char* gm_message(void);

int gm_load_backends(const char* dir);
int gm_is_available(const char* type);
int gm_set_device(const char* type, int id);
int gm_available_memory(size_t* total, size_t* free);

int gm_malloc(void** ptr, size_t size);
int gm_free(void* ptr);
int gm_zero(void* ptr, size_t size, void* stream);
int gm_upload(void* dst, const void* src, size_t size, void* stream);
int gm_download(void* dst, const void* src, size_t size, void* stream);
int gm_stream_create(void** stream);
int gm_stream_destroy(void* stream);
int gm_stream_wait(void* stream);

// Conversions out of Montgomery form, in place, of n elements on the device.
int gm_plain_scalars(void* data, uint64_t n, void* stream);
int gm_plain_g1(void* data, size_t n, void* stream);
int gm_plain_g2(void* data, size_t n, void* stream);

// a = a*b and a = a-b for n elements on the device.
int gm_mul(void* a, const void* b, uint64_t n, void* stream);
int gm_sub(void* a, const void* b, uint64_t n, void* stream);

int gm_ntt_init(const void* root);
int gm_ntt_release(void);
// Transforms batch vectors of n elements in place. Orderings are ICICLE's.
int gm_ntt(void* data, int n, int batch, bool inverse, int ordering, const void* coset, void* stream);

// Sums of points with scalars, both on the device and not in Montgomery form;
// the result, projective, lands on the host. factor is what the points were
// precomputed with.
int gm_msm_g1(const void* scalars, const void* points, int n, int window, int factor, void* result, void* stream);
int gm_msm_g2(const void* scalars, const void* points, int n, int window, int factor, void* result, void* stream);
int gm_precompute_g1(const void* points, int n, int window, int factor, void* out, void* stream);
int gm_precompute_g2(const void* points, int n, int window, int factor, void* out, void* stream);

#ifdef __cplusplus
}
#endif

#endif
