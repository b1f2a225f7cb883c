// What the kernels share: the forms of their arrays, and the attribute that has the compiler make
// a version for each width of the processor's vectors.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>

namespace nb = nanobind;

template <typename T> using Vector = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T> using Table = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T> using Strided = nb::ndarray<T, nb::ndim<1>, nb::device::cpu>;

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define WIDE
#endif

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE __forceinline
#endif

void bind_agreement(nb::module_ &module);
void bind_ingest(nb::module_ &module);
void bind_top(nb::module_ &module);
