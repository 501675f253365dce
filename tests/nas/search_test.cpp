// Schedules, pictures and states of searches by gradients.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/autograd/execution.h"
#include "nas/algo/schedules.h"
#include "nas/algo/search_pictures.h"
#include "nas/algo/search_run.h"
#include "nas/space/darts_derive.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/nasbench201_mixed.h"
#include "nas/supernet/training_state.h"
#include "ops/constants.h"
#include "tests/nas/run_testing.h"
#include "tests/nas/search_testing.h"

using namespace nascent;
using namespace nascent::test;

TEST_CASE("the rate that a second stage begins with") {
    // DrNAS's second stage on NAS-Bench-201: .025 again at epoch 50 of 100, then twice what is above the least rate.
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 50, 50) == 0.025);
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 50, 51) == doctest::Approx(0.024246141782124923).epsilon(1e-12));
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 0, 17) ==
          doctest::Approx(cosine_lr(0.025, 0.001, 100, 17)).epsilon(1e-12));
}

TEST_CASE("the two orders of the learning rate's step") {
    BilevelTraining t;
    t.lr_step = BilevelTraining::LrStep::before;
    CHECK(learning_rate(t, 0) == doctest::Approx(0.0249763).epsilon(1e-6));
    CHECK(learning_rate(t, 48) == doctest::Approx(0.00102368).epsilon(1e-5));
    CHECK(learning_rate(t, 49) == doctest::Approx(0.001).epsilon(1e-12));
}
TEST_CASE("a warmed-up rate: PC-DARTS's on ImageNet, with the scheduler of either age") {
    BilevelTraining t;
    t.lr = 0.5, t.lr_min = 0, t.warmup = 5;
    auto is = [&](std::int64_t epoch, double rate) {
        CAPTURE(epoch);
        CHECK(learning_rate(t, epoch) == doctest::Approx(rate).epsilon(1e-5));
    };
    for (int e = 0; e < 5; e++) is(e, 0.1 * (e + 1));
    is(5, 0.487764), is(34, 0.116043), is(35, 0.103054), is(49, 0.00049332);
    t.lr_step = BilevelTraining::LrStep::before;
    for (int e = 0; e < 5; e++) is(e, 0.1 * (e + 1));
    is(5, 0.494547), is(6, 0.488153), is(34, 0.105639), is(35, 0.092918), is(48, 0.00050569);
    CHECK(std::abs(learning_rate(t, 49)) < 1e-15);
}

TEST_CASE("in two folders the alphas' pictures are those that the weights never see") {
    SearchConfig c = preset("smoke/pcdarts-imagenet");
    c.data.size = 8;
    c.valid.augment = false;
    check(c);
    Pictured pictures(c);
    REQUIRE(pictures.halves.held_out);
    const Pictures& held_out = pictures.set.test;
    double want = 0;
    for (std::uint8_t v : held_out.pixels) want += (v / 255.0 - 0.5) / 0.5;
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    BatchSource train = pictures.train(c), valid = pictures.valid(c), alpha = pictures.alpha(c);
    CHECK(train.steps_per_epoch == 8);
    REQUIRE(valid.steps_per_epoch == 2);
    CHECK(alpha.steps_per_epoch == 2);
    double sum = 0, others = 0;
    for (std::int64_t step = 0; step < 2; step++) {
        for (double v : numbers_of(valid.batch(step).x)) sum += v;
        for (double v : numbers_of(train.batch(step).x)) others += v;
    }
    CHECK(std::abs(sum - want) <= static_cast<double>(held_out.pixels.size()) * 0x1p-24);  // rounded to float
    CHECK(std::abs(others - want) > 1);
    Dataset alone = as_large_as("cifar10", 10, 50'000);
    CHECK(contains(error_of(ErrorKind::usage, [&] { halves_of(c, alone); }), "data.split = folders"));
}

TEST_CASE("parts of the pictures: explicit, in range, apart") {
    Dataset set = as_large_as("cifar10", 10, 50'000);
    SearchConfig c;
    c.data.split = "parts";
    auto refused = [&](const char* train, const char* valid) {
        c.data.train_part = train;
        c.data.valid_part = valid;
        return error_of(ErrorKind::usage, [&] { halves_of(c, set); });
    };
    CHECK(contains(refused("0:100", "99:200"), "overlap"));
    CHECK(contains(refused("100:200", "0:101"), "overlap"));
    CHECK(contains(refused("5:6", "5:6"), "overlap"));
    for (const char* wrong : {"", "7", "7:", ":7", "7:7", "8:7", "-1:7", "0:50001", "0:7x", "0x0:7", "0:99999999999"})
        CHECK(contains(refused(wrong, "0:5"), "expected FIRST:LAST"));
    CHECK(refused("0:100", "100:50000").empty());
    CHECK(halves_of(c, set).valid.back() == 49'999);
    c = {};
    set.train.labels.resize(7);
    CHECK(halves_of(c, set).train.size() == 3);
    CHECK(halves_of(c, set).valid.size() == 4);
    c.space = "nasbench201";  // auto falls back where the benchmark's halves do not fit
    CHECK(halves_of(c, set).train.size() == 3);
    set.train.labels.resize(1);
    CHECK(contains(error_of(ErrorKind::usage, [&] { halves_of(c, set); }), "halved"));
}

TEST_CASE("the alphas' batches: of a new shuffle each step, or a draw for each picture of the weights'") {
    Dataset set = as_large_as("cifar10", 10, 50'000);
    const auto norm = normalisation("half", set);
    LoaderOptions o;
    o.workers = 0;
    o.batch_size = 6;
    const std::vector<std::uint32_t> ids{10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
    std::vector<std::array<std::int32_t, 4>> draws;
    std::vector<int> labels;
    auto places = [&](Loader<float>& loader, std::uint64_t step) {
        loader.draws(step, draws, labels);
        std::vector<int> all;
        for (const auto& d : draws) all.push_back(d[0]);
        return all;
    };
    o.order = BatchOrder::first_of_shuffle;
    {
        Loader<float> loader(set.train, ids, 10, norm, o);
        std::vector<int> first = places(loader, 0), second = places(loader, 1);
        CHECK(first.size() == 6);
        CHECK(second.size() == 6);  // and not the 4 that an epoch's second would have
        CHECK(first != second);
        CHECK(std::set<int>(second.begin(), second.end()).size() == 6);  // without replacement
        CHECK(places(loader, 0) == first);
        std::set<int> seen;
        for (std::uint64_t s = 0; s < 50; s++)
            for (int p : places(loader, s)) seen.insert(p);
        CHECK(seen.size() == ids.size());
    }
    o.order = BatchOrder::replacement;
    o.epoch_pictures = 9;
    {
        Loader<float> loader(set.train, ids, 10, norm, o);
        CHECK(loader.steps_per_epoch() == 2);
        CHECK(loader.batch_count(0) == 6);
        CHECK(loader.batch_count(1) == 3);
        CHECK(loader.batch_count(3) == 3);
        std::map<int, int> hits;
        bool twice = false;
        for (std::uint64_t s = 0; s < 1000; s++) {
            const auto p = places(loader, s);
            twice = twice || std::set<int>(p.begin(), p.end()).size() < p.size();
            for (int place : p) hits[place]++;
        }
        CHECK(twice);
        REQUIRE(hits.size() == ids.size());
        // 4500 draws, 450 expected for each, deviation 20.
        for (const auto& [place, count] : hits) CHECK(std::abs(count - 450) < 6 * 20);
    }
    o.order = BatchOrder::epochs;
    CHECK_THROWS_AS(Loader<float>(set.train, ids, 10, norm, o), Error);
}

TEST_CASE("labels are hit in order of the logits") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const float nan = std::nanf("");
    const std::vector<float> rows{0, 1,   2, 3, 4, 5, 6,  //
                                  6, 5,   4, 3, 2, 1, 0,  //
                                  1, 1,   1, 1, 1, 1, 1,  //
                                  0, nan, 0, 0, 0, 0, 0};
    const Tensor logits = empty({4, 7}, DType::f32), labels = empty({4}, DType::i32);
    device->copy_in(logits.data, rows.data(), logits.bytes());
    auto score = [&](std::vector<std::int32_t> wanted) {
        device->copy_in(labels.data, wanted.data(), labels.bytes());
        const Score s = hits(logits, labels);
        CHECK(s.pictures == 4);
        return std::pair(s.top1, s.top5);
    };
    CHECK(score({6, 0, 0, 1}) == std::pair<std::int64_t, std::int64_t>(3, 3));
    CHECK(score({2, 4, 4, 1}) == std::pair<std::int64_t, std::int64_t>(0, 3));
    CHECK(score({1, 5, 5, 1}) == std::pair<std::int64_t, std::int64_t>(0, 0));
}

TEST_CASE("spaces derive, read and write alphas") {
    const SearchSpace& darts = search_space("darts");
    const SearchSpace& nb201 = search_space("nasbench201");
    CHECK(error_of(ErrorKind::usage, [] { search_space("dart"); }).find("darts") != std::string::npos);
    // NAS-Bench-201: the largest of each edge, `none` too, of equals the first.
    Alphas one{std::vector<double>(30, 0.0)};
    one[0][0 * 5 + 3] = 1;
    one[0][1 * 5 + 1] = 2;
    one[0][2 * 5 + 0] = 1;
    one[0][4 * 5 + 4] = 0.5;
    one[0][5 * 5 + 1] = one[0][5 * 5 + 2] = 3;
    const SearchSpace::Derived d = nb201.derive(one);
    CHECK(d.text == "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|");
    CHECK(d.skips == 2);
    Alphas two{std::vector<double>(112), std::vector<double>(112)};
    for (std::size_t i = 0; i < 112; i++)
        two[0][i] = std::sin(1.7 * static_cast<double>(i)), two[1][i] = std::cos(static_cast<double>(i));
    const auto genotype = darts::parse_genotype(darts.derive(two).text);
    CHECK(genotype == darts::derive_genotype(two[0], two[1]));
    CHECK(darts.derive(two).skips == darts::skip_connects(genotype.normal));
    // With betas an edge's weights are multiplied by its share of the node.
    const SearchSpace& weighed = search_space("darts", true);
    Alphas four = two;
    for (int m : {0, 1}) {
        std::vector<double>& betas = four.emplace_back(14);
        for (std::size_t e = 0; e < 14; e++) betas[e] = std::sin(1.1 * static_cast<double>(e) + m);
    }
    CHECK(darts::parse_genotype(weighed.derive(four).text) ==
          darts::genotype_of_weights(darts::weigh_edges(darts::softmax_rows(four[0]), four[2]),
                                     darts::weigh_edges(darts::softmax_rows(four[1]), four[3])));
    CHECK(weighed.derive(four).text != darts.derive(two).text);
    for (const auto& [space, alphas] : {std::pair{&darts, two}, {&nb201, one}, {&weighed, four}}) {
        const SpaceAlphas back = alphas_from_json(alphas_to_json(*space, alphas), "alphas.json");
        CHECK(back.space == space);
        CHECK(back.alphas == alphas);
        const std::string strip = alpha_strip(*space, {alphas, alphas, alphas});
        std::size_t polygons = 0, edges = 0;
        for (std::size_t at = 0; (at = strip.find("<polygon", at)) != std::string::npos; at++) polygons++;
        for (const AlphaMatrix& m : space->matrices())
            if (m.operators.size() > 1) edges += m.size();
        CHECK(polygons == edges);  // a band for each edge and operator
        CHECK(strip.ends_with("</svg>\n"));
        Alphas broken = alphas;
        broken[0][7] = std::nan("");
        CHECK(contains(error_of(ErrorKind::runtime, [&] { space->derive(broken); }), "nan"));
    }
}

TEST_CASE("networks start as PyTorch's do, with gamma of one or the other age") {
    auto device = make_device("cpu", 1);
    SearchConfig c = preset("smoke/darts-1st");
    auto net = search_space("darts").make_net(*device, DType::f32, settings_of(c, 10, 16));
    for (GammaStart gamma : {GammaStart::ones, GammaStart::uniform}) {
        initialise(net->store(), 7, gamma);
        for (const Parameter& p : net->store().parameters()) {
            CAPTURE(p.name);
            const auto values = net->store().raw(net->store().find(p.name)).span<float>();
            double low = 1e300, high = -1e300, sum = 0, squares = 0;
            for (float v : values) {
                low = std::min<double>(low, v), high = std::max<double>(high, v);
                sum += v, squares += static_cast<double>(v) * v;
            }
            const double n = static_cast<double>(values.size()), mean = sum / n;
            double bound = 0;
            if (p.shape.rank() == 4) bound = 1 / std::sqrt(p.shape[0] * p.shape[1] * p.shape[2]);
            if (p.shape.rank() == 3) bound = 1 / std::sqrt(p.shape[0] * p.shape[1]);
            if (p.name.starts_with("classifier")) bound = 1 / std::sqrt(p.name.ends_with("weight") ? p.shape[1] : 64.0);
            if (p.name.starts_with("alphas")) {
                // 112 draws: the deviation is known to 7 % (one sigma), the mean to 9.5e-5.
                CHECK(std::abs(std::sqrt(squares / n) - 1e-3) < 5 * 0.067e-3);
                CHECK(std::abs(mean) < 5 * 9.5e-5);
            } else if (bound > 0) {
                CHECK(low >= -bound);
                CHECK(high <= bound);
                CHECK(low < high);
                CHECK(std::abs(mean) < 5 * bound / std::sqrt(3 * n));
            } else if (p.name.ends_with(".weight") && gamma == GammaStart::uniform) {
                CHECK(low >= 0);
                CHECK(high < 1);
                CHECK(low < high);
            } else {
                CHECK(low == high);
                CHECK(low == (p.name.ends_with(".weight") ? 1 : 0));
            }
        }
    }
}

TEST_CASE("a training state holds Adam's moments") {
    TemporaryFolder folder;
    auto device = make_device("cpu", 1);
    const SearchSettings settings = settings_of(preset("smoke/nb201-1st"), 10, 8);
    auto make = [&] { return search_space("nasbench201").make_net(*device, DType::f32, settings); };
    auto from = make(), to = make();
    initialise(from->store(), 1);
    initialise(to->store(), 2);
    const int range = static_cast<int>(from->store().ranges().size()) - 1;  // the alphas'
    auto lr = [](std::int64_t) { return 0.1; };
    Sgd sgd(from->store(), {}, lr), sgd2(to->store(), {}, lr);
    Adam adam(from->store(), {}, lr, {range}), adam2(to->store(), {}, lr, {range}), all(to->store(), {}, lr);
    adam.state(range).first.span<float>()[3] = 5;
    adam.state(range).second.span<float>()[29] = 7;
    adam.set_steps(range, 11);
    adam.set_step_number(12);
    const std::string path = folder / "state.safetensors";
    write_safetensors(path, TrainingState::of(from->store(), sgd, nullptr, &adam).tensors());
    const SafeTensors file = SafeTensors::read(path);
    TrainingState::restore(file, to->store(), sgd2, nullptr, &adam2);
    CHECK(adam2.state(range).first.span<float>()[3] == 5);
    CHECK(adam2.state(range).second.span<float>()[29] == 7);
    CHECK(adam2.state(range).steps == 11);
    CHECK(adam2.step_number() == 12);
    for (std::size_t p = 0; p < from->store().parameters().size(); p++) {
        const auto a = from->store().raw(static_cast<int>(p)).span<float>(),
                   b = to->store().raw(static_cast<int>(p)).span<float>();
        CHECK(std::equal(a.begin(), a.end(), b.begin()));
    }
    // Another set of ranges, or none, is another training.
    for (Adam* other : {&all, static_cast<Adam*>(nullptr)})
        CHECK_THROWS_AS(TrainingState::restore(file, to->store(), sgd2, nullptr, other), Error);
}
