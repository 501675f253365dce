// Networks whose operators become wider: what is copied, what is divided, and what DrNAS's program does otherwise.
#include "nas/supernet/widen.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nas/algo/search_space.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/nasbench201_mixed.h"
#include "ops/constants.h"

using namespace nascent;

namespace {

using Numbers = std::vector<double>;

/// Distinct numbers in all parameters, momentum and running statistics.
void fill(ParameterStore& store) {
    std::uint32_t seed = 1;
    auto put = [&](const Tensor& t, double shift) {
        Numbers v = golden::input(t.size(), seed++);
        for (double& x : v) x += shift;
        write_numbers(t, v);
    };
    for (std::size_t p = 0; p < store.parameters().size(); p++) {
        put(store.raw(static_cast<int>(p)), 0);
        put(store.raw_momentum(static_cast<int>(p)), 0);
    }
    for (const Buffer& b : store.buffers()) put(b.tensor, 3);
    for (std::size_t r = 0; r < store.ranges().size(); r++)
        store.range(static_cast<int>(r)).last_step = static_cast<std::int64_t>(r % 7);
}

Tensor buffer(const ParameterStore& store, const std::string& name) {
    for (const Buffer& b : store.buffers())
        if (b.name == name) return b.tensor;
    FAIL("no buffer ", name);
    return {};
}

/// Two networks of a space, the second with wider operators and the first's state.
struct Widened {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    std::unique_ptr<SearchNet> narrow, wide;
    Widened(const char* space, int channels, int from, int to, Widening how, std::uint64_t seed = 5) {
        auto make = [&](int partial) {
            return search_space(space, false, std::string(space) != "darts")
                .make_net(*device, DType::f64,
                          {.classes = 3, .size = 8, .channels = channels, .layers = 3, .cells = 1, .partial = partial});
        };
        narrow = make(from), wide = make(to);
        fill(narrow->store());
        widen(*narrow, *wide, how, seed, 1);
    }
    Numbers weight(SearchNet& net, const std::string& name) const {
        return numbers_of(net.store().raw(net.store().find(name)));
    }
    Numbers momentum(SearchNet& net, const std::string& name) const {
        return numbers_of(net.store().raw_momentum(net.store().find(name)));
    }
};

/// Row i of a matrix with columns.
Numbers row(const Numbers& all, std::size_t i, std::size_t columns) {
    return {all.begin() + static_cast<std::ptrdiff_t>(i * columns),
            all.begin() + static_cast<std::ptrdiff_t>((i + 1) * columns)};
}
/// Which row of `from` it is, -1 for none.
int found(const Numbers& from, const Numbers& one) {
    for (std::size_t i = 0; i * one.size() < from.size(); i++)
        if (row(from, i, one.size()) == one) return static_cast<int>(i);
    return -1;
}

/// A kernel (area, in, out) as rows of out * area by input, or of in * area by output.
Numbers by_input(const Numbers& k, std::size_t area, std::size_t in, std::size_t out) {
    Numbers all;
    for (std::size_t i = 0; i < in; i++)
        for (std::size_t t = 0; t < area; t++)
            for (std::size_t o = 0; o < out; o++) all.push_back(k[(t * in + i) * out + o]);
    return all;
}
Numbers by_output(const Numbers& k, std::size_t area, std::size_t in, std::size_t out) {
    Numbers all;
    for (std::size_t o = 0; o < out; o++)
        for (std::size_t i = 0; i < in; i++)
            for (std::size_t t = 0; t < area; t++) all.push_back(k[(t * in + i) * out + o]);
    return all;
}
/// The old channel of each new one of a kernel's outputs, from its first `in` old inputs; and of its inputs likewise.
std::vector<int> outputs(const Numbers& wide, const Numbers& narrow, std::size_t area, std::size_t old,
                         std::size_t now) {
    Numbers part;
    for (std::size_t t = 0; t < area; t++)
        for (std::size_t i = 0; i < old; i++) {
            const Numbers r = row(wide, t * now + i, now);
            part.insert(part.end(), r.begin(), r.end());
        }
    const Numbers from = by_output(narrow, area, old, old), to = by_output(part, area, old, now);
    std::vector<int> map;
    for (std::size_t o = 0; o < now; o++) map.push_back(found(from, row(to, o, area * old)));
    return map;
}

}  // namespace

TEST_CASE("as released: filters and slices are copied at random, nothing is divided, statistics follow the filters") {
    const std::size_t old = 4, now = 8;
    Widened w("nasbench201", 16, 4, 2, Widening::released);
    bool other_in = false;
    for (const std::string edge : {"1<-0", "3<-2"})
        for (auto [op, area] : {std::pair<int, std::size_t>{2, 1}, {3, 9}}) {
            const std::string name = fmt::format("cells.0.edges.{}.{}.op.", edge, op);
            const Numbers narrow = w.weight(*w.narrow, name + "1.weight"), wide = w.weight(*w.wide, name + "1.weight");
            REQUIRE(wide.size() == area * now * now);
            const std::vector<int> out = outputs(wide, narrow, area, old, now);
            for (std::size_t o = 0; o < now; o++) CHECK((out[o] >= 0 && (o >= old || out[o] == static_cast<int>(o))));
            // Inputs: of the first outputs, which are the old ones.
            const Numbers slices = by_input(narrow, area, old, old);
            std::vector<int> in;
            for (std::size_t i = 0; i < now; i++) {
                Numbers slice;
                for (std::size_t t = 0; t < area; t++)
                    for (std::size_t o = 0; o < old; o++) slice.push_back(wide[(t * now + i) * now + o]);
                in.push_back(found(slices, slice));
                CHECK((in[i] >= 0 && (i >= old || in[i] == static_cast<int>(i))));
            }
            other_in = other_in || in != out;
            // Everything is what the two maps say, momentum too.
            const Numbers narrow_m = w.momentum(*w.narrow, name + "1.weight"),
                          wide_m = w.momentum(*w.wide, name + "1.weight");
            for (std::size_t t = 0; t < area; t++)
                for (std::size_t i = 0; i < now; i++)
                    for (std::size_t o = 0; o < now; o++) {
                        const std::size_t from =
                            (t * old + static_cast<std::size_t>(in[i])) * old + static_cast<std::size_t>(out[o]);
                        CHECK(wide[(t * now + i) * now + o] == narrow[from]);
                        CHECK(wide_m[(t * now + i) * now + o] == narrow_m[from]);
                    }
            for (const char* of : {"2.running_mean", "2.running_var"}) {
                const Numbers before = numbers_of(buffer(w.narrow->store(), name + of)),
                              after = numbers_of(buffer(w.wide->store(), name + of));
                REQUIRE(after.size() == now);
                for (std::size_t o = 0; o < now; o++) CHECK(after[o] == before[static_cast<std::size_t>(out[o])]);
            }
        }
    CHECK(other_in);  // inputs are drawn apart from outputs
    // What is not an operator is copied as it is.
    for (const char* name : {"stem.0.weight", "cells.1.conv_a.op.1.weight", "classifier.bias", "arch_parameters"}) {
        CHECK(w.weight(*w.wide, name) == w.weight(*w.narrow, name));
        CHECK(w.momentum(*w.wide, name) == w.momentum(*w.narrow, name));
    }
    CHECK(numbers_of(buffer(w.wide->store(), "lastact.0.running_var")) ==
          numbers_of(buffer(w.narrow->store(), "lastact.0.running_var")));
    for (std::size_t r = 0; r < w.wide->store().ranges().size(); r++)
        CHECK(w.wide->store().ranges()[r].last_step == w.narrow->store().ranges()[r].last_step);
    // A function of the seed.
    const std::string some = "cells.2.edges.2<-1.3.op.1.weight";
    CHECK(w.weight(*w.wide, some) == Widened("nasbench201", 16, 4, 2, Widening::released).weight(*w.wide, some));
    Widened other("nasbench201", 16, 4, 2, Widening::released, 6);
    CHECK(w.weight(*w.wide, some) != other.weight(*other.wide, some));
}

TEST_CASE("net2wider: fed copies of its old channels, an operator computes copies of what it computed") {
    const std::size_t old = 2, now = 4;
    Widened w("nasbench201", 8, 4, 2, Widening::net2wider);
    for (auto [op, area] : {std::pair<int, std::size_t>{2, 1}, {3, 9}}) {
        const std::string name = fmt::format("cells.0.edges.2<-1.{}.op.1.weight", op);
        const Numbers narrow = w.weight(*w.narrow, name), wide = w.weight(*w.wide, name);
        // Inputs that were copied have been divided by their number: they add up to the old kernel, whatever the
        // copies.
        std::vector<int> in(now, -1);
        for (std::size_t i = 0; i < now; i++)
            for (std::size_t from = 0; from < old; from++)
                for (int copies = 1; copies <= 3; copies++)
                    if (std::abs(wide[i * now] * copies - narrow[from * old]) < 1e-15) in[i] = static_cast<int>(from);
        for (std::size_t t = 0; t < area; t++)
            for (std::size_t from = 0; from < old; from++)
                for (std::size_t o = 0; o < old; o++) {
                    double sum = 0;
                    for (std::size_t i = 0; i < now; i++)
                        if (in[i] == static_cast<int>(from)) sum += wide[(t * now + i) * now + o];
                    CHECK(sum == doctest::Approx(narrow[(t * old + from) * old + o]).epsilon(1e-14));
                }
        for (std::size_t i = 0; i < now; i++) CHECK((in[i] >= 0 && (i >= old || in[i] == static_cast<int>(i))));
    }
}

TEST_CASE(
    "operators of the space darts: depthwise and pointwise layers go together, reductions as released or mended") {
    for (Widening how : {Widening::released, Widening::net2wider}) {
        CAPTURE(static_cast<int>(how));
        Widened w("darts", 8, 4, 2, how);
        const bool released = how == Widening::released;
        // cells.0: 8 channels, of which operators saw 2 and now see 4; _ops.3 is sep_conv_3x3.
        const std::size_t old = 2, now = 4;
        const std::string sep = "cells.0._ops.1._ops.3.op.";
        auto depth_map = [&](const std::string& name) {
            const Numbers narrow = by_input(w.weight(*w.narrow, name), 9, old, 1),
                          wide = by_input(w.weight(*w.wide, name), 9, now, 1);
            std::vector<int> map;
            for (std::size_t i = 0; i < now; i++) map.push_back(found(narrow, row(wide, i, 9)));
            return map;
        };
        for (auto [depth, point] : {std::pair{"1.weight", "2.weight"}, {"5.weight", "6.weight"}}) {
            const std::vector<int> map = depth_map(sep + depth);
            const Numbers narrow = w.weight(*w.narrow, sep + point), wide = w.weight(*w.wide, sep + point);
            for (std::size_t i = 0; i < now; i++) {
                REQUIRE(map[i] >= 0);
                const auto copies = static_cast<double>(std::count(map.begin(), map.end(), map[i]));
                for (std::size_t o = 0; o < old; o++)
                    CHECK(wide[i * now + o] ==
                          narrow[static_cast<std::size_t>(map[i]) * old + o] / (released ? 1 : copies));
            }
        }
        // The second half reads what the first one put out: only net2wider's draws say so.
        int agree = 0, edges = 0;
        for (int e = 0; e < 14; e++, edges++) {
            const std::string name = fmt::format("cells.0._ops.{}._ops.3.op.", e);
            const Numbers narrow = numbers_of(buffer(w.narrow->store(), name + "3.running_mean")),
                          wide = numbers_of(buffer(w.wide->store(), name + "3.running_mean"));
            std::vector<int> map;
            for (double v : wide) map.push_back(found(narrow, {v}));
            agree += map == depth_map(name + "5.weight");
        }
        CHECK((released ? agree < edges : agree == edges));
        // A FactorizedReduce of cells.1, a reduction: 16 channels, 4 seen, now 8; halves of 2 and 4.
        const std::string skip = "cells.1._ops.0._ops.2.";
        std::vector<int> halves[2];
        for (int h : {0, 1}) {
            const std::string name = skip + (h ? "conv_2.weight" : "conv_1.weight");
            const Numbers narrow = w.weight(*w.narrow, name), wide = w.weight(*w.wide, name);
            REQUIRE(wide.size() == 8 * 4);
            // By the first input, which is old in both; net2wider may have divided it.
            for (std::size_t o = 0; o < 4; o++)
                for (int from : {0, 1})
                    for (int copies = 1; copies <= (released ? 1 : 5); copies++)
                        if (std::abs(wide[o] * copies - narrow[static_cast<std::size_t>(from)]) < 1e-15 &&
                            halves[h].size() == o)
                            halves[h].push_back(from);
            REQUIRE(halves[h].size() == 4);
        }
        const Numbers before = numbers_of(buffer(w.narrow->store(), skip + "bn.running_var")),
                      after = numbers_of(buffer(w.wide->store(), skip + "bn.running_var"));
        REQUIRE((before.size() == 4 && after.size() == 8));
        std::vector<int> want =
            released ? std::vector<int>{0, 1, 2, 3, halves[0][2], halves[0][3], halves[1][2], halves[1][3]}
                     : std::vector<int>{0, 1, halves[0][2], halves[0][3], 2, 3, 2 + halves[1][2], 2 + halves[1][3]};
        for (std::size_t i = 0; i < 8; i++) CHECK(after[i] == before[static_cast<std::size_t>(want[i])]);
        // A pool's statistics: old ones, then copies.
        const Numbers pool = numbers_of(buffer(w.narrow->store(), "cells.0._ops.0._ops.0.1.running_mean")),
                      wider = numbers_of(buffer(w.wide->store(), "cells.0._ops.0._ops.0.1.running_mean"));
        for (std::size_t i = 0; i < now; i++) CHECK((i < old ? wider[i] == pool[i] : found(pool, {wider[i]}) >= 0));
        CHECK(w.weight(*w.wide, "cells.1.preprocess0.op.1.weight") ==
              w.weight(*w.narrow, "cells.1.preprocess0.op.1.weight"));
    }
}

TEST_CASE("operators come to see all channels: ranges that only partial channels have are left behind") {
    for (const char* space : {"nasbench201", "darts"})
        for (Widening how : {Widening::released, Widening::net2wider}) {
            CAPTURE(space);
            Widened w(space, 8, 2, 1, how);
            ParameterStore &before = w.narrow->store(), &after = w.wide->store();
            std::map<std::string, std::int64_t> last;
            for (const ParameterRange& r : before.ranges()) last[r.name] = r.last_step;
            CHECK(before.ranges().size() - after.ranges().size() ==
                  (std::string(space) == "darts" ? 2 * 8 : 0));  // two reductions of eight edges of stride 2
            for (const ParameterRange& r : after.ranges()) {
                CAPTURE(r.name);
                CHECK(last.at(r.name) == r.last_step);
            }
            for (std::size_t p = 0; p < after.parameters().size(); p++) {
                const Numbers now = numbers_of(after.raw(static_cast<int>(p)));
                const int at = before.find(after.parameters()[p].name);
                REQUIRE(at >= 0);
                CHECK(now[0] != 0);
                if (now.size() == before.raw(at).size()) CHECK(now == numbers_of(before.raw(at)));
            }
        }
}

TEST_CASE("networks that do not belong together are not widened") {
    auto device = make_device("cpu", 1);
    auto make = [&](int channels, int partial) {
        return search_space("nasbench201")
            .make_net(*device, DType::f32,
                      {.classes = 3, .size = 8, .channels = channels, .cells = 1, .partial = partial});
    };
    auto a = make(8, 2), b = make(8, 4), c = make(16, 2);
    CHECK_THROWS_AS(widen(*a, *b, Widening::released, 1, 1), Error);  // narrower
    CHECK_THROWS_AS(widen(*a, *c, Widening::released, 1, 1), Error);  // another stem
}
