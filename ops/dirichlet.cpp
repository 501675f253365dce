#include "ops/dirichlet.h"

#include "engine/autograd/op.h"
#include "kernels/dirichlet_math.h"
#include "ops/constants.h"
#include "ops/kernel_stream.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Rows {
    int rows, columns;
    explicit Rows(const Tensor& t) : rows(static_cast<int>(t.shape[0])), columns(static_cast<int>(t.shape[1])) {
        NASCENT_CHECK(t.shape.rank() == 2 && columns > 0, runtime, "expected (rows, columns), got {}", t.shape.text());
    }
};

struct Dirichlet {
    static constexpr const char* name = "dirichlet";
    bool operator==(const Dirichlet&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        const Rows r(in[0]);
        NASCENT_CHECK(in[1].shape == Shape({3, r.rows, r.columns}) && in[1].dtype == DType::f64, runtime,
                      "expected a draw (3, {}, {}), got {}", r.rows, r.columns, in[1].shape.text());
        NASCENT_CHECK(in.size() == 2 || (in[2].shape == in[0].shape && in[2].dtype == DType::f64), runtime,
                      "expected what is kept of ({}, {}), got {}", r.rows, r.columns, in[2].shape.text());
        Tensor y = empty(in[0].shape, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::dirichlet_forward<T>(kernel_stream(), r.rows, r.columns, in[0].as<T>(), in[1].as<double>(),
                                          kept(in), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        NASCENT_CHECK(!into[1] && (in.size() == 2 || !into[2]), runtime, "a draw has no gradient");
        if (!into[0]) return;
        const Rows r(in[0]);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::dirichlet_backward<T>(kernel_stream(), r.rows, r.columns, in[0].as<T>(), in[1].as<double>(),
                                           kept(in), dy.as<T>(), into[0].as<T>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        std::vector<Case> all;
        for (auto [rows, columns] : {std::pair{6, 5}, {14, 7}, {1, 8}, {40, 3}, {3, 2}, {2, 1}})
            all.push_back({"drawn " + Shape({rows, columns}).text(),
                           {{rows, columns}, {rows, columns}},  // alphas, and those of the draw
                           [](Inputs in) {
                               return dirichlet(in[0], dirichlet_draw(in[1], {11, 5, 3, 0}));
                           },
                           {true, false}});
        all.push_back({"twice",
                       {{2, 5}, {2, 5}},
                       [](Inputs in) {
                           const Tensor drawn = dirichlet_draw(in[1], {1, 2, 3, 4});
                           return add(dirichlet(softmax(in[0]), drawn), dirichlet(in[0], drawn));
                       },
                       {true, false}});
        for (auto [rows, columns] : {std::pair{6, 5}, {14, 7}, {33, 3}, {2, 2}, {1, 1}})
            all.push_back({"of some, near the draw's alphas " + Shape({rows, columns}).text(),
                           {{rows, columns}, {rows, columns}},
                           [](Inputs in) {
                               const Tensor near = weighted(in[0], constants({1}, in[0].dtype, 0.01), 0);
                               std::vector<double> kept(in[0].size());
                               for (std::size_t i = 0; i < kept.size(); i++)
                                   kept[i] = (i * 7 + 3) % 5 < 3 || i % static_cast<std::size_t>(in[0].shape[1]) ==
                                                                        0;  // one of a row at least
                               return dirichlet(add(in[1], near), dirichlet_draw(in[1], {11, 5, 3, 0}),
                                                constants(in[0].shape, DType::f64, kept));
                           },
                           {true, false}});
        return all;
    }

  private:
    static const double* kept(Inputs in) { return in.size() > 2 ? in[2].as<double>() : nullptr; }
};

struct DirichletKl {
    static constexpr const char* name = "dirichlet_kl";
    bool operator==(const DirichletKl&) const = default;
    double scale;
    Tensor forward(Inputs in, Saved&) const {
        const Rows r(in[0]);
        Tensor y = empty({1}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::dirichlet_kl_forward<T>(kernel_stream(), r.rows, r.columns, scale, in[0].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        const Rows r(in[0]);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::dirichlet_kl_backward<T>(kernel_stream(), r.rows, r.columns, scale, in[0].as<T>(), dy.as<T>(),
                                              into[0].as<T>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return dirichlet_kl(in[0], 0.5); };
        return {{"of a cell", {{6, 5}}, run},
                {"of two", {{14, 7}}, [](Inputs in) { return add(dirichlet_kl(in[0], 1), dirichlet_kl(in[0], 1e-3)); }},
                {"one row", {{1, 8}}, run},
                {"many rows", {{300, 3}}, run}};
    }
};

}  // namespace

double concentration(double alpha) { return kernels::concentration(alpha); }
double digamma(double x) { return kernels::digamma(x); }
double trigamma(double x) { return kernels::trigamma(x); }
double dirichlet_speed(double a, double b, double x, double y) { return kernels::dirichlet_speed(a, b, x, y); }

Tensor dirichlet_draw(const Tensor& alphas, const DrawKey& key) {
    const Rows r(alphas);
    Tensor drawn = empty({3, r.rows, r.columns}, DType::f64);
    with_type(alphas.dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::dirichlet_draw<T>(kernel_stream(), {key.seed, key.step, key.stream, key.first, key.step_at}, r.rows,
                                   r.columns, alphas.as<T>(), drawn.as<double>());
    });
    return drawn;
}

Tensor dirichlet(const Tensor& alphas, const Tensor& drawn, const Tensor& kept) {
    if (kept.defined()) return apply(Dirichlet{}, {alphas, drawn, kept});
    return apply(Dirichlet{}, {alphas, drawn});
}

Tensor dirichlet_kl(const Tensor& alphas, double scale) { return apply(DirichletKl{scale}, {alphas}); }

}  // namespace nascent
