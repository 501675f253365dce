// What shares a launch has the bits of a launch for each.
#include "kernels/node_list.h"

#include "kernels/conv.h"
#include "kernels/head.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

/// One picture, odd sizes, channels off vectors, many pictures: partial sums of one block, of some, and of several
/// groups of blocks.
constexpr kernels::Image kImages[] = {{1, 5, 7, 3}, {2, 4, 4, 16}, {40, 3, 3, 35}, {136, 9, 7, 3}};
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

TEST_CASE_TEMPLATE("norms that convolutions finish are those of their sums", T, float, double) {
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
                for (int k = 0; k < kConvs; k++)
                    spaces.emplace_back(kernels::conv_forward_workspace(kGpu, node.shape(k), sizeof(T)));
                for (int i = 0; i < kConvs; i++) {
                    const auto k = static_cast<std::size_t>(i), running = shared ? 0 : k;
                    const T *gamma = i == 1 ? nullptr : node.gamma[k].data(), *beta = i == 2 ? nullptr : gamma;
                    if (together)
                        kernels::offer_finish<T>(
                            kGpu, sums[k].data(),
                            {node.norm(), gamma, beta, mean[running].data(), variance[running].data(), m[k].data(),
                             r[k].data(), scale[k].data(), shift[k].data()});
                    kernels::conv_forward<T>(kGpu, node.shape(i), node.x[k].data(), {nullptr, nullptr, true},
                                             node.w[k].data(), z[k].data(), sums[k].data(), spaces[k].get());
                    if (together) {
                        CHECK(kernels::finish_taken<T>(kGpu));
                        for (double s : sums[k]) CHECK(std::isnan(s));
                    } else
                        kernels::norm_finish<T>(kGpu, node.norm(), sums[k].data(), gamma, beta, mean[running].data(),
                                                variance[running].data(), m[k].data(), r[k].data(), scale[k].data(),
                                                shift[k].data());
                }
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
                std::vector<kernels::NormFoldOf<T>> list;
                if (!together) kernels::norm_backward_sums<T>(kGpu, image, node.dy.data(), z, sums.data(), space.get());
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
                if (together) {
                    kernels::offer_folds<T>(kGpu, sums.data(), list);
                    kernels::norm_backward_sums<T>(kGpu, image, node.dy.data(), z, sums.data(), space.get());
                    CHECK(kernels::folds_taken<T>(kGpu));
                    for (double s : sums) CHECK(std::isnan(s));
                }

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

TEST_CASE_TEMPLATE("the head's norm is finished and folded as from its sums", T, float, double) {
    for (const kernels::Image& image : kImages) {
        CAPTURE(image.n);
        Node<T> node(image);
        const T *gamma = node.gamma[0].data(), *beta = node.gamma[1].data();
        Numbers numbers(7);
        const Guarded<T> dpooled = numbers.uniform<T>(static_cast<std::size_t>(image.n) * node.channels);
        together_as_apart<T>([&](bool together) {
            std::vector<Guarded<T>> out(10, node.gamma[2]);
            auto at = [&out](std::size_t i) { return out[i].data(); };
            Guarded<double> sums(2 * node.channels), mean(node.channels), rstd(node.channels);
            Workspace space(kernels::norm_sums_workspace(kGpu, image, 1));
            auto forward = [&] { kernels::channel_sums<T>(kGpu, image, node.x[0].data(), sums.data(), space.get()); };
            if (together) {
                kernels::offer_finish<T>(
                    kGpu, sums.data(),
                    {node.norm(), gamma, beta, at(0), at(1), mean.data(), rstd.data(), at(2), at(3)});
                forward();
                CHECK(kernels::finish_taken<T>(kGpu));
            } else {
                forward();
                kernels::norm_finish<T>(kGpu, node.norm(), sums.data(), gamma, beta, at(0), at(1), mean.data(),
                                        rstd.data(), at(2), at(3));
            }
            auto backward = [&] {
                kernels::norm_relu_pool_backward_sums<T>(kGpu, image, node.x[0].data(), at(2), at(3), dpooled.data(),
                                                         sums.data(), space.get());
            };
            const std::vector<kernels::NormFoldOf<T>> folds{
                {node.norm(), mean.data(), rstd.data(), gamma, at(4), at(5), at(6), at(7), at(8), true, false}};
            if (together) {
                kernels::offer_folds<T>(kGpu, sums.data(), folds);
                backward();
                CHECK(kernels::folds_taken<T>(kGpu));
            } else {
                backward();
                kernels::norm_fold<T>(kGpu, node.norm(), sums.data(), sums.data() + node.channels, mean.data(),
                                      rstd.data(), gamma, at(4), at(5), at(6), at(7), true, at(8), false);
            }
            out.push_back(bits_of<T>(mean));
            out.push_back(bits_of<T>(rstd));
            return out;
        });
    }
}

TEST_CASE("offers that nobody takes are forgotten, and are for their sums alone") {
    Node<float> node(kImages[1]);
    Guarded<float> z(node.image.size());
    Guarded<double> sums(2 * node.channels);
    Workspace space(kernels::conv_forward_workspace(kGpu, node.shape(0), sizeof(float)));
    kernels::hold_gradients<float>(kGpu);
    kernels::forget_gradients<float>(kGpu);
    const double other = 0;
    for (const double* of : {static_cast<const double*>(sums.data()), &other}) {
        kernels::offer_finish<float>(kGpu, of, {});
        kernels::offer_folds<float>(kGpu, of, {});
        if (of == &other) break;
        CHECK(!kernels::finish_taken<float>(kGpu));
        CHECK(!kernels::folds_taken<float>(kGpu));
    }
    kernels::conv_forward<float>(kGpu, node.shape(0), node.x[0].data(), {}, node.w[0].data(), z.data(), sums.data(),
                                 space.get());
    CHECK(!kernels::finish_taken<float>(kGpu));
    CHECK(!kernels::folds_taken<float>(kGpu));
    for (double s : sums) CHECK(!std::isnan(s));
}

}  // namespace nascent::test
