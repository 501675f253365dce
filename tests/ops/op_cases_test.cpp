// One op, four uses (docs/design.md): every registered op and every case of it, on every device.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/gpu_device.h"
#include "tests/ops/case_runner.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

double largest(const Numbers& x) {
    double m = 0;
    for (double v : x) m = std::max(m, std::abs(v));
    return m;
}

/// The largest |a - b|; NaN where there is one.
double distance(const Numbers& a, const Numbers& b) {
    if (a.size() != b.size()) return NAN;
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); i++) {
        const double d = std::abs(a[i] - b[i]);
        if (!(d <= worst)) worst = d;
        if (std::isnan(worst)) return worst;
    }
    return worst;
}

/// How far two orders of summation may differ: no sum in a case is longer than the elements of all its inputs, and a
/// few sums follow each other (batch-norm's within convolution's), so 8 of them.
double bound(const Case& c, DType dtype, double scale) {
    std::size_t elements = 0;
    for (const Shape& s : c.inputs) elements += s.size();
    return 8 * (dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON) * static_cast<double>(elements) * std::max(1.0, scale);
}

void for_every_case(const std::function<void(const OpEntry&, const Case&, Device&)>& f) {
    for (const std::string& device_name : std::vector<std::string>{"cpu", "cpu, winograd", "gpu"}) {
        std::unique_ptr<Device> device = device_name == "gpu" ? gpu_device() : make_device("cpu", 2);
        if (!device) continue;
        device->kernel_options.winograd = device_name == "cpu, winograd";
        for (const OpEntry& op : registered_ops()) {
            const std::vector<Case> cases = op.cases();
            CHECK_MESSAGE(cases.size() >= 2, op.name << " has hardly any cases");
            for (const Case& c : cases) {
                CAPTURE(device_name);
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                f(op, c, *device);
            }
        }
    }
}

}  // namespace

TEST_CASE("gradients equal difference quotients") {
    std::size_t loose = 0, checked = 0;
    for_every_case([&](const OpEntry&, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true);
        std::vector<Numbers> in = random_inputs(c);
        const Result r = run_case(c, step, {.inputs = &in});
        const Numbers dy = random_numbers(r.value.size(), 1000);
        double magnitude = 0;
        auto loss = [&] {
            const Result z = run_case(c, step, {.wanted = std::vector<bool>(in.size(), false), .inputs = &in});
            double sum = 0;
            magnitude = 0;
            for (std::size_t i = 0; i < dy.size(); i++)
                sum += z.value[i] * dy[i], magnitude += std::abs(z.value[i] * dy[i]);
            return sum;
        };
        for (std::size_t i = 0; i < in.size(); i++) {
            if (!differentiable(c, i)) {
                CHECK(r.gradients.count(i) == 0);
                continue;
            }
            REQUIRE(r.gradients.count(i) == 1);
            // Large inputs are sampled: a wrong term shows in any of its elements.
            const std::size_t stride = 1 + in[i].size() / 61;
            for (std::size_t k = 0; k < in[i].size(); k += stride) {
                const double keep = in[i][k];
                auto slope = [&](double d) {
                    in[i][k] = keep + d;
                    const double up = loss();
                    in[i][k] = keep - d;
                    const double down = loss();
                    in[i][k] = keep;
                    return (up - down) / (2 * d);
                };
                double expected = 0, tolerance = INFINITY;
                // Where a ReLU's kink lies within h, the quotients differ and say nothing: a second try with a smaller
                // h.
                for (double h = 1e-5; h > 5e-7 && tolerance > 1e-3 * std::max(1.0, std::abs(expected)); h /= 10) {
                    const double one = slope(h), two = slope(2 * h);
                    // The fourth-order quotient, off by less than the second-order ones differ, and by rounding over h.
                    expected = (4 * one - two) / 3;
                    tolerance = std::abs(two - one) + bound(c, DType::f64, magnitude) / h;
                }
                CAPTURE(i);
                CAPTURE(k);
                checked++;
                if (tolerance > 1e-3 * std::max(1.0, std::abs(expected))) loose++;
                const double error = std::abs(r.gradients.at(i)[k] - expected);
                CHECK_MESSAGE(error <= tolerance, "gradient " << r.gradients.at(i)[k] << ", quotient " << expected);
            }
        }
    });
    CHECK(checked > 5000);
    CHECK_MESSAGE(loose * 20 < checked, loose << " of " << checked << " quotients were too rough to tell");
}

TEST_CASE("fused ops equal their reference in value and all gradients") {
    int fused = 0;
    for_every_case([&](const OpEntry& op, const Case& c, Device& device) {
        if (!op.fused) return;
        fused++;
        Arena step(device, std::size_t{1} << 30, true);
        for (DType dtype : {DType::f64, DType::f32}) {
            CAPTURE(name_of(dtype));
            const Result a = run_case(c, step, {.dtype = dtype}),
                         b = run_case(c, step, {.dtype = dtype, .reference = true});
            CHECK(distance(a.value, b.value) <= bound(c, dtype, largest(b.value)));
            REQUIRE(a.gradients.size() >= b.gradients.size());
            for (const auto& [i, g] : a.gradients) {
                CAPTURE(i);
                // The reference of an input that no term reads has no gradient; the op writes zeros.
                const Numbers expected = b.gradients.count(i) ? b.gradients.at(i) : Numbers(g.size(), 0.0);
                CHECK(distance(g, expected) <= bound(c, dtype, largest(expected)));
            }
        }
    });
    CHECK(fused > 20);
}

TEST_CASE("gradients accumulate") {
    for_every_case([](const OpEntry&, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true);
        const Result once = run_case(c, step, {}), twice = run_case(c, step, {.twice = true});
        REQUIRE(once.gradients.size() == twice.gradients.size());
        for (const auto& [i, g] : once.gradients) {
            Numbers doubled = g;
            for (double& v : doubled) v *= 2;
            CAPTURE(i);
            CHECK(distance(twice.gradients.at(i), doubled) <= bound(c, DType::f64, largest(doubled)));
        }
    });
}

TEST_CASE("only wanted gradients are written, and wanting fewer changes no bit") {
    for_every_case([](const OpEntry&, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true);
        const Result all = run_case(c, step, {.dtype = DType::f32});
        for (std::size_t i = 0; i < c.inputs.size(); i++) {
            if (!differentiable(c, i)) continue;
            std::vector<bool> wanted(c.inputs.size(), false);
            wanted[i] = true;
            const Result one = run_case(c, step, {.dtype = DType::f32, .wanted = wanted});
            CAPTURE(i);
            CHECK(one.value == all.value);
            REQUIRE(one.gradients.size() == 1);
            CHECK(one.gradients.at(i) == all.gradients.at(i));
        }
    });
}

TEST_CASE("the gpu computes what the cpu computes") {
    const auto gpu = gpu_device(), cpu = make_device("cpu", 1);
    if (!gpu) return;
    Arena gpu_step(*gpu, std::size_t{1} << 30, true), cpu_step(*cpu, std::size_t{1} << 30, true);
    for (const OpEntry& op : registered_ops())
        for (const Case& c : op.cases())
            for (DType dtype : {DType::f64, DType::f32}) {
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                CAPTURE(name_of(dtype));
                const Result a = run_case(c, gpu_step, {.dtype = dtype}), b = run_case(c, cpu_step, {.dtype = dtype});
                CHECK(distance(a.value, b.value) <= bound(c, dtype, largest(b.value)));
                REQUIRE(a.gradients.size() == b.gradients.size());
                for (const auto& [i, g] : b.gradients) {
                    CAPTURE(i);
                    CHECK(distance(a.gradients.at(i), g) <= bound(c, dtype, largest(g)));
                }
            }
}

TEST_CASE("captured and replayed equals eager to the bit") {
    const auto device = gpu_device();
    if (!device) return;
    Arena step(*device, std::size_t{1} << 30, true), kept(*device, std::size_t{1} << 30, true);
    for (const OpEntry& op : registered_ops())
        for (const Case& c : op.cases())
            for (DType dtype : {DType::f64, DType::f32}) {
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                const Result eager = run_case(c, step, {.dtype = dtype, .kept = &kept});
                Segments segments(*device);
                for (int i = 0; i < 4; i++) {  // as it is, captured, replayed twice
                    const Result r = run_case(c, step, {.dtype = dtype, .kept = &kept, .segments = &segments});
                    CAPTURE(i);
                    CHECK(r.value == eager.value);
                    CHECK(r.gradients == eager.gradients);
                }
                CHECK(segments.replays() >= 2 * static_cast<std::int64_t>(segments.size()));
                CHECK(segments.size() >= 1);
            }
}

TEST_CASE("the same bits with one, two and three threads, and after a reset") {
    for_every_case([](const OpEntry&, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true);
        const Result first = run_case(c, step, {.dtype = DType::f32});
        const Result again = run_case(c, step, {.dtype = DType::f32});  // in memory that the reset filled with NaN
        CHECK(again.value == first.value);
        CHECK(again.gradients == first.gradients);
        for (double v : first.value) REQUIRE(std::isfinite(v));
        if (device.kind() != DeviceKind::cpu) return;
        for (int threads : {1, 3}) {
            std::unique_ptr<Device> other = make_device("cpu", threads);
            other->kernel_options = device.kernel_options;
            Arena other_step(*other, std::size_t{1} << 30, true);
            const Result r = run_case(c, other_step, {.dtype = DType::f32});
            CAPTURE(threads);
            CHECK(r.value == first.value);
            CHECK(r.gradients == first.gradients);
        }
    });
}

TEST_CASE("every op's cases have what kernels get wrong") {
    for (const OpEntry& op : registered_ops()) {
        bool one_picture = false, odd = false, off_vector = false, chunks = false;
        for (const Case& c : op.cases()) {
            const Shape& x = c.image.rank() > 0 ? c.image : c.inputs[0];
            one_picture |= x[0] == 1;
            for (int i = 1; i < x.rank(); i++) odd |= x[i] > 1 && x[i] % 2 == 1;
            off_vector |= x[x.rank() - 1] % 4 != 0;  // no vector of floats or doubles has fewer than 4 or 2 lanes
            chunks |= x[0] >= 32;                    // no kernel gives one thread more pictures than that to begin with
        }
        INFO(std::string(op.name));
        CHECK(one_picture);
        CHECK(odd);
        CHECK(off_vector);
        CHECK(chunks);
    }
}

TEST_CASE("every op struct in the sources is registered, once") {
    std::set<std::string> in_sources, registered;
    const std::regex declaration("static constexpr const char\\* name = \"([a-z0-9_]+)\";");
    for (const auto& file : std::filesystem::recursive_directory_iterator(NASCENT_SOURCE_DIR "/ops")) {
        if (file.path().extension() != ".cpp" && file.path().extension() != ".h") continue;
        std::ifstream stream(file.path());
        std::stringstream text;
        text << stream.rdbuf();
        const std::string source = text.str();
        for (std::sregex_iterator m(source.begin(), source.end(), declaration), end; m != end; ++m)
            CHECK(in_sources.insert((*m)[1]).second);
    }
    for (const OpEntry& op : registered_ops())
        CHECK_MESSAGE(registered.insert(op.name).second, op.name << " is registered twice");
    CHECK(registered == in_sources);
    CHECK(registered.size() >= 12);
}
