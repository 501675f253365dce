// Passes over several convolutions' norms and gradients have the bits of one pass for each.
#include "kernels/node_list.h"

#include "kernels/conv.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

/// One picture, odd sizes, channels off vectors, many pictures: few and many partial sums.
constexpr kernels::Image kImages[] = {{1, 5, 7, 3}, {2, 4, 4, 16}, {40, 9, 7, 5}};
constexpr int kConvs = 3;

/// Convolutions of one image that leave a node, the first of 1x1 and the others of 3x3 pixels.
template <class T>
struct Node {
    kernels::Image image;
    std::size_t channels = static_cast<std::size_t>(image.c);
    Numbers numbers{static_cast<unsigned>(image.c)};
    Guarded<T> dy = numbers.uniform<T>(image.size());
    std::vector<Guarded<T>> x, w, gamma, before;
    explicit Node(const kernels::Image& i) : image(i) {
        for (int k = 0; k < kConvs; k++) {
            x.push_back(numbers.uniform<T>(image.size()));
            w.push_back(numbers.uniform<T>(weights(k)));
            gamma.push_back(numbers.uniform<T>(channels));
            before.push_back(numbers.uniform<T>(weights(k)));
        }
    }
    kernels::ConvShape shape(int k) const { return {image.n, image.h, image.w, image.c, image.c, k == 0 ? 1 : 3, 1}; }
    std::size_t weights(int k) const { return (k == 0 ? 1 : 9) * channels * channels; }
    kernels::NormShape norm() const { return {image.c, image.pixels(), 1e-5, 0.1}; }
};

/// What a function computes of each convolution, together or one by one: all outputs as elements of T.
template <class T, class F>
void together_as_apart(F&& f) {
    const std::vector<Guarded<T>> apart = f(false);
    for (const Guarded<T>& t : apart)
        for (T v : t) CHECK(!std::isnan(v));
    in_every_order([&] {
        const std::vector<Guarded<T>> together = f(true);
        REQUIRE(together.size() == apart.size());
        for (std::size_t i = 0; i < apart.size(); i++) {
            CAPTURE(i);
            CHECK(together[i].same_bits(apart[i]));
            CHECK(together[i].intact());
        }
        return together;
    });
}

}  // namespace

TEST_CASE_TEMPLATE("norms of several convolutions finish as each by itself", T, float, double) {
    for (const kernels::Image& image : kImages)
        for (bool shared : {false, true}) {  // running statistics of all
            CAPTURE(image.n);
            CAPTURE(shared);
            Node<T> node(image);
            together_as_apart<T>([&](bool together) {
                std::vector<Guarded<T>> z(kConvs, Guarded<T>(image.size())), scale(kConvs, Guarded<T>(node.channels)),
                    shift = scale, mean = node.gamma, variance = node.gamma;
                std::vector<Guarded<double>> sums(kConvs, Guarded<double>(2 * node.channels)),
                    m(kConvs, Guarded<double>(node.channels)), r = m;
                std::vector<Workspace> spaces;
                std::vector<kernels::NormFinish<T>> list;
                for (int k = 0; k < kConvs; k++)
                    spaces.emplace_back(kernels::conv_forward_workspace(kGpu, node.shape(k), sizeof(T)));
                for (int i = 0; i < kConvs; i++) {
                    const auto k = static_cast<std::size_t>(i), running = shared ? 0 : k;
                    if (together) kernels::hold_sums(kGpu);
                    kernels::conv_forward<T>(kGpu, node.shape(i), node.x[k].data(), {nullptr, nullptr, true},
                                             node.w[k].data(), z[k].data(), sums[k].data(), spaces[k].get());
                    const T *gamma = i == 1 ? nullptr : node.gamma[k].data(), *beta = i == 2 ? nullptr : gamma;
                    if (together)
                        list.push_back({node.norm(), kernels::take_sums(kGpu, sums[k].data()), gamma, beta,
                                        mean[running].data(), variance[running].data(), m[k].data(), r[k].data(),
                                        scale[k].data(), shift[k].data()});
                    else
                        kernels::norm_finish<T>(kGpu, node.norm(), sums[k].data(), gamma, beta, mean[running].data(),
                                                variance[running].data(), m[k].data(), r[k].data(), scale[k].data(),
                                                shift[k].data());
                }
                // Rows that several threads add, and rows that one does.
                if (together) CHECK((list[2].sums.down > 1) == (image.n == 40));
                if (together) kernels::norms_finish<T>(kGpu, list);
                std::vector<Guarded<T>> out;
                for (const auto* all : {&z, &scale, &shift, &mean, &variance})
                    out.insert(out.end(), all->begin(), all->end());
                for (const auto* all : {&m, &r})
                    for (const Guarded<double>& d : *all) out.push_back(bits_of<T>(d));
                return out;
            });
        }
}

TEST_CASE_TEMPLATE("gradients through the norms of several convolutions are those of each by itself", T, float,
                   double) {
    for (const kernels::Image& image : kImages)
        for (bool shared : {false, true}) {  // gradients of gamma and beta, and of the weights of the last two
            CAPTURE(image.n);
            CAPTURE(shared);
            Node<T> node(image);
            Numbers numbers(7);
            const Guarded<double> mean = numbers.uniform<double>(node.channels), rstd = mean;
            together_as_apart<T>([&](bool together) {
                std::vector<Guarded<T>> scale(kConvs, Guarded<T>(node.channels)),
                    slope = scale, shift = scale, dgamma = node.gamma, dbeta = node.gamma, dw = node.before;
                Guarded<double> sums((1 + kConvs) * node.channels);
                std::vector<const T*> z = pointers(node.x, 0, kConvs);
                Workspace space(kernels::norm_sums_workspace(kGpu, image, kConvs));
                if (together) kernels::hold_sums(kGpu);
                kernels::norm_backward_sums<T>(kGpu, image, node.dy.data(), z, sums.data(), space.get());
                const kernels::HeldSums held =
                    together ? kernels::take_sums(kGpu, sums.data()) : kernels::HeldSums{sums.data()};
                std::vector<kernels::NormFoldOf<T>> list;
                for (std::size_t k = 0; k < kConvs; k++) {
                    const std::size_t to = shared ? 0 : k;
                    const bool accumulate = k != 1;
                    if (together)
                        list.push_back({node.norm(), mean.data(), rstd.data(), node.gamma[k].data(), scale[k].data(),
                                        slope[k].data(), shift[k].data(), dgamma[to].data(), dbeta[to].data(),
                                        accumulate, !accumulate});
                    else
                        kernels::norm_fold<T>(kGpu, node.norm(), sums.data(), sums.data() + (1 + k) * node.channels,
                                              mean.data(), rstd.data(), node.gamma[k].data(), scale[k].data(),
                                              slope[k].data(), shift[k].data(), dgamma[to].data(), accumulate,
                                              dbeta[to].data(), !accumulate);
                }
                if (together) kernels::norms_fold<T>(kGpu, held, list);

                std::vector<Workspace> spaces;
                for (int k = 0; k < kConvs; k++)
                    spaces.emplace_back(kernels::conv_backward_workspace(kGpu, node.shape(k), sizeof(T)));
                if (together) kernels::hold_gradients<T>(kGpu);
                for (int i = 0; i < kConvs; i++) {
                    const auto k = static_cast<std::size_t>(i);
                    T* const to = dw[shared && i == 2 ? 1 : k].data();
                    kernels::conv_backward<T>(kGpu, node.shape(i), node.x[k].data(), {nullptr, nullptr, true},
                                              node.w[k].data(), node.dy.data(),
                                              {node.x[k].data(), scale[k].data(), slope[k].data(), shift[k].data()},
                                              nullptr, false, to, i == 2, spaces[k].get());
                }
                if (together) kernels::add_gradients<T>(kGpu);
                std::vector<Guarded<T>> out;
                for (const auto* all : {&scale, &slope, &shift, &dgamma, &dbeta, &dw})
                    out.insert(out.end(), all->begin(), all->end());
                return out;
            });
        }
}

TEST_CASE_TEMPLATE("gradients that pass a node go to all inputs as to each by itself", T, float, double) {
    for (const kernels::Image& image : kImages) {
        Numbers numbers(3);
        const Guarded<T> dy = numbers.uniform<T>(image.size()), before = numbers.uniform<T>(image.size());
        together_as_apart<T>([&](bool together) {
            std::vector<Guarded<T>> dx(11, before);
            std::vector<kernels::NodeInput<T>> list;
            for (std::size_t i = 0; i < dx.size(); i++)
                list.push_back({dx[i].data(), i % 3 != 1, i % 3 != 0, i % 2 == 1});
            if (together)
                kernels::node_input_gradients<T>(kGpu, image, dy.data(), list);
            else
                for (const kernels::NodeInput<T>& i : list)
                    kernels::node_input_gradient<T>(kGpu, image, dy.data(), i.skip, i.pool, i.dx, i.accumulate);
            return dx;
        });
    }
}

TEST_CASE("sums that were held are forgotten where nobody takes them") {
    Node<float> node(kImages[1]);
    Guarded<float> z(node.image.size());
    Guarded<double> sums(2 * node.channels);
    Workspace space(kernels::conv_forward_workspace(kGpu, node.shape(0), sizeof(float)));
    kernels::hold_sums(kGpu);
    kernels::hold_gradients<float>(kGpu);
    CHECK(kernels::take_sums(kGpu, nullptr).partials == nullptr);
    kernels::forget_gradients<float>(kGpu);
    kernels::conv_forward<float>(kGpu, node.shape(0), node.x[0].data(), {}, node.w[0].data(), z.data(), sums.data(),
                                 space.get());
    for (double s : sums) CHECK(!std::isnan(s));
}

}  // namespace nascent::test
