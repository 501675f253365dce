// Where a kernel runs. Kernels know no engine: a stream is a handle and, on the CPU, a way to run chunks.
#pragma once
#include <cstddef>
#include <type_traits>

namespace nascent::kernels {

enum class Where { cpu, gpu };

/// Of the gpu's products of floats: as they are, or by tensor cores, factors rounded to the nearest tf32 (10 bits of
/// fraction). Sums are float in both.
enum class Precision { float32, tf32 };

struct Stream {
    Where where = Where::cpu;  // every kernel of a family's header is there twice, in kernels/cpu and kernels/cuda
    void* handle = nullptr;    // cpu: the thread pool; gpu: the stream to launch on
    int workers = 1;           // how many chunks may run at once; scratch is sized by it
    /// Runs body(context, chunk, worker) for every chunk, 0 <= worker < workers; null: in turn on the caller.
    void (*run)(void* handle, int chunks, void (*body)(void* context, int chunk, int worker), void* context) = nullptr;
    /// 3x3 convolutions of stride 1 may be computed by Winograd's algorithm: faster, with other rounding.
    bool winograd = false;
    /// The gpu's dense products. Scratch is sized by it too.
    Precision precision = Precision::float32;
};

/// Runs f(chunk, worker) for chunk in [0, chunks).
template <class F>
void parallel(const Stream& stream, int chunks, F&& f) {
    using G = std::remove_reference_t<F>;
    auto body = [](void* context, int chunk, int worker) { (*static_cast<G*>(context))(chunk, worker); };
    if (stream.run) return stream.run(stream.handle, chunks, body, &f);
    for (int chunk = 0; chunk < chunks; chunk++) f(chunk, 0);
}

}  // namespace nascent::kernels
