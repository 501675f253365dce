#include "kernels/node.h"

#include "kernels/primitive.h"
#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

constexpr Image kImages[] = {{1, 1, 1, 1},   {1, 5, 7, 3},  {2, 8, 8, 16}, {3, 2, 2, 17},  {33, 3, 1, 5},
                             {1, 9, 13, 40}, {2, 4, 4, 33}, {70, 1, 2, 8}, {1, 16, 16, 6}, {2, 5, 1, 37}};

std::string name(const Image& s) {
    std::string text;
    for (int x : {s.n, s.h, s.w, s.c}) text += std::to_string(x) + " ";
    return text;
}

/// f(pixel, neighbour, size of the neighbour's or pixel's own window) over 3x3 windows inside the image.
template <class F>
void for_each_neighbour(const Image& s, F&& f) {
    auto extent = [](int q, int size) { return (q > 0) + 1 + (q < size - 1); };
    for (int n = 0; n < s.n; n++)
        for (int y = 0; y < s.h; y++)
            for (int x = 0; x < s.w; x++)
                for (int i = std::max(0, y - 1); i <= std::min(s.h - 1, y + 1); i++)
                    for (int j = std::max(0, x - 1); j <= std::min(s.w - 1, x + 1); j++)
                        f((static_cast<std::size_t>(n) * s.h + y) * s.w + x,
                          (static_cast<std::size_t>(n) * s.h + i) * s.w + j, extent(y, s.h) * extent(x, s.w));
}

TEST_CASE_TEMPLATE("node_combine sums norms, pools and skips", T, float, double) {
    unsigned seed = 1;
    for (const Image& s : kImages)
        for (int mode = 0; mode < 10; mode++) {
            const int norms = mode & 1 ? 2 : 0, pools = mode & 2 ? 1 : 0, skips = mode & 4 ? 1 : 0, more = mode >= 8;
            INFO("image ", name(s), "mode ", mode);
            Numbers numbers(seed++);
            std::vector<Guarded<T>> data;
            for (int i = 0; i < 12; i++) data.push_back(numbers.uniform<T>(i < 6 ? s.size() : s.c));
            std::vector<kernels::NormTerm<T>> terms;
            std::vector<const T*> pooled, skipped;
            for (int i = 0; i < norms + more; i++)
                terms.push_back({data[i].data(), data[6 + i].data(), data[9 + i].data()});
            for (int i = 0; i < pools + 2 * more; i++) pooled.push_back(data[3 + i].data());
            for (int i = 0; i < skips + more; i++) skipped.push_back(data[5 - i].data());
            std::vector<Bounded> want(s.size());
            for (std::size_t i = 0; i < s.size(); i++) {
                for (const auto& t : terms)
                    want[i].add(static_cast<Real>(t.z[i]) * t.scale[i % s.c]), want[i].add(t.shift[i % s.c]);
                for (const T* p : skipped) want[i].add(p[i]);
            }
            for_each_neighbour(s, [&](std::size_t pixel, std::size_t other, int count) {
                for (const T* p : pooled)
                    for (int c = 0; c < s.c; c++)
                        want[pixel * s.c + c].add(static_cast<Real>(p[other * s.c + c]) / count);
            });
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Guarded<T> y(s.size());
                kernels::node_combine<T>(stream, s, terms, pooled, skipped, y.data());
                // Two roundings per norm, nine additions and two roundings of the share per pool, one per addition.
                check_close(y, want,
                            3.0 * static_cast<double>(terms.size()) + 12.0 * static_cast<double>(pooled.size()) +
                                static_cast<double>(skipped.size()) + 1,
                            "y");
                return std::vector<Guarded<T>>{y};
            });
        }
}

TEST_CASE_TEMPLATE("node_input_gradient is the gradient of skip and pool", T, float, double) {
    unsigned seed = 50;
    for (const Image& s : kImages)
        for (int mode = 0; mode < 8; mode++) {
            const bool skip = mode & 1, pool = mode & 2, accumulate = mode & 4;
            INFO("image ", name(s), "mode ", mode);
            Numbers numbers(seed++);
            const Guarded<T> dy = numbers.uniform<T>(s.size()), before = numbers.uniform<T>(s.size());
            std::vector<Bounded> want(s.size());
            for (std::size_t i = 0; i < s.size(); i++) {
                if (accumulate) want[i].add(before[i]);
                if (skip) want[i].add(dy[i]);
            }
            if (pool)
                for_each_neighbour(s, [&](std::size_t pixel, std::size_t other, int count) {
                    for (int c = 0; c < s.c; c++)
                        want[other * s.c + c].add(static_cast<Real>(dy[pixel * s.c + c]) / count);
                });
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Guarded<T> dx(s.size());
                if (accumulate) dx = before;
                kernels::node_input_gradient<T>(stream, s, dy.data(), skip, pool, dx.data(), accumulate);
                // Per term: the two shares and their products (4); three additions in a line, three lines; skip,
                // before.
                check_close(dx, want, 4 + 3 + 3 + 2, "dx");
                return std::vector<Guarded<T>>{dx};
            });
        }
}

/// Doubles as elements of T, for comparing bits.
template <class T>
Guarded<T> bits_of(const Guarded<double>& values) {
    Guarded<T> bits(values.size() * sizeof(double) / sizeof(T));
    std::memcpy(bits.data(), values.data(), values.size() * sizeof(double));
    return bits;
}

TEST_CASE_TEMPLATE("norm_backward_sums and channel_sums", T, float, double) {
    unsigned seed = 150;
    for (const Image& s : kImages)
        for (int terms = 0; terms <= 7; terms++) {
            INFO("image ", name(s), "terms ", terms);
            Numbers numbers(seed++);
            const Guarded<T> dy = numbers.uniform<T>(s.size());
            std::vector<Guarded<T>> z;
            std::vector<const T*> pointers;
            for (int k = 0; k < terms; k++) z.push_back(numbers.uniform<T>(s.size()));
            for (const Guarded<T>& t : z) pointers.push_back(t.data());
            std::vector<Bounded> want(static_cast<std::size_t>(1 + terms) * s.c),
                want_squares(static_cast<std::size_t>(2) * s.c);
            for (std::size_t i = 0; i < s.size(); i++) {
                want[i % s.c].add(dy[i]);
                for (int k = 0; k < terms; k++) want[(1 + k) * s.c + i % s.c].add(static_cast<Real>(dy[i]) * z[k][i]);
                want_squares[i % s.c].add(dy[i]);
                want_squares[s.c + i % s.c].add(static_cast<Real>(dy[i]) * dy[i]);
            }
            // Runs of 64 pixels in T (a product and an addition each), their sums and those of the chunks in double.
            const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                   std::numeric_limits<double>::epsilon() * (static_cast<double>(s.pixels()) / 64 + 64);
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Workspace workspace(kernels::norm_sums_workspace(stream, s, terms));
                Workspace one(kernels::norm_sums_workspace(stream, s, 1));
                Guarded<double> sums(want.size()), squares(want_squares.size());
                kernels::norm_backward_sums<T>(stream, s, dy.data(), pointers, sums.data(), workspace.get());
                kernels::channel_sums<T>(stream, s, dy.data(), squares.data(), one.get());
                CHECK(workspace.intact());
                CHECK(one.intact());
                check_close(sums, want, 2 * 64, "norm_backward_sums", epsilon);
                check_close(squares, want_squares, 2 * 64, "channel_sums", epsilon);
                return std::vector<Guarded<T>>{bits_of<T>(sums), bits_of<T>(squares)};
            });
        }
}

TEST_CASE_TEMPLATE("avg_pool_2x2 and its gradient", T, float, double) {
    unsigned seed = 300;
    for (const Image& s : {Image{1, 2, 2, 1}, {1, 4, 6, 3}, {2, 8, 8, 16}, {35, 2, 4, 17}, {1, 16, 10, 40}})
        for (bool accumulate : {false, true}) {
            INFO("image ", name(s));
            Numbers numbers(seed++);
            const std::size_t out = s.size() / 4;
            const Guarded<T> x = numbers.uniform<T>(s.size()), dy = numbers.uniform<T>(out);
            const Guarded<T> before = numbers.uniform<T>(s.size());
            std::vector<Bounded> want(out), want_dx(s.size());
            for (std::size_t i = 0; i < s.size(); i++) {
                const std::size_t c = i % s.c, w = i / s.c % s.w, h = i / s.c / s.w % s.h, n = i / s.c / s.w / s.h;
                const std::size_t o = ((n * (s.h / 2) + h / 2) * (s.w / 2) + w / 2) * s.c + c;
                want[o].add(static_cast<Real>(x[i]) / 4);
                if (accumulate) want_dx[i].add(before[i]);
                want_dx[i].add(static_cast<Real>(dy[o]) / 4);
            }
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Guarded<T> y(out), dx(s.size());
                if (accumulate) dx = before;
                kernels::avg_pool_2x2<T>(stream, s, x.data(), y.data());
                kernels::avg_pool_2x2_backward<T>(stream, s, dy.data(), dx.data(), accumulate);
                check_close(y, want, 3, "y");
                check_close(dx, want_dx, 1, "dx");
                return std::vector<Guarded<T>>{y, dx};
            });
        }
}

}  // namespace
}  // namespace nascent::test
