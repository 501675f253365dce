// One op, four uses (docs/design.md): every registered op and every case of it, on every device.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/gpu_device.h"
#include "tests/ops/case_runner.h"
#include "tests/ops/compare.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// A difference quotient and how far off it may be.
struct Quotient {
    double value = 0, tolerance = INFINITY;
    bool tells() const { return tolerance <= 1e-3 * std::max(1.0, std::abs(value)); }
};

/// From two quotients with steps h and 2h, the second off by four times as much as the first: the value in which these
/// errors cancel, off by less than the two differ. `rounding` is that of a quotient `one`, `two` has half of it.
Quotient extrapolated(double one, double two, double rounding) {
    return {(4 * one - two) / 3, std::abs(two - one) + rounding * 4.5 / 3};
}

/// The slope at 0 of f, whose values are off by `rounding`. From both sides first. Where a ReLU has its kink within the
/// step on one side, this says nothing, but the other side alone does. Where f sums so much that its rounding outweighs
/// a small step, a large one does if f is nearly straight.
template <class F, class Rounding>
Quotient best_quotient(const F& f, const Rounding& rounding) {
    auto central = [&](double h) {
        const double one = (f(h) - f(-h)) / (2 * h), two = (f(2 * h) - f(-2 * h)) / (4 * h);
        return extrapolated(one, two, rounding() / h);
    };
    auto one_sided = [&](double h) {
        const double here = f(0), near = f(h), middle = f(2 * h), far = f(4 * h);
        const double one = (4 * near - 3 * here - middle) / (2 * h), two = (4 * middle - 3 * here - far) / (4 * h);
        return extrapolated(one, two, 4 * rounding() / std::abs(h));
    };
    Quotient best = central(1e-5);
    for (int attempt = 0; attempt < 3 && !best.tells(); attempt++) {
        const Quotient next = attempt == 2 ? central(1e-2) : one_sided(attempt == 0 ? 1e-5 : -1e-5);
        if (next.tolerance < best.tolerance) best = next;
    }
    return best;
}

// The emulated gpu is a hundred times slower than the cpu, whose numbers it computes (a test of its own compares them
// all): a case's quotients there are about a third as many for all inputs together as on the cpu for one. Sanitizers
// look at accesses, which are the same whichever element is moved: with them, a sixteenth of those on either device.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kThinned = 16;
#else
constexpr std::size_t kThinned = 1;
#endif

const std::vector<std::string> kDevices{"cpu", "cpu, winograd", "gpu"};

void for_every_case(const std::function<void(const OpEntry&, const Case&, Device&)>& f,
                    const std::vector<std::string>& devices = kDevices) {
    for (const std::string& device_name : devices) {
        if (device_name == "gpu" && std::getenv("NASCENT_CPU_TARGET")) continue;  // whose code is the same with any
        std::unique_ptr<Device> device = device_name == "gpu" ? gpu_device() : make_device("cpu", 1);
        if (!device) continue;
        device->kernel_options.winograd = device_name == "cpu, winograd";
        for (const OpEntry& op : registered_ops()) {
            if (!asked_for(op)) continue;
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

/// Whether a case comes out to the same bits without Winograd's convolution.
bool is_direct(const Case& c, const Result& r, Arena& step) {
    bool& winograd = step.device().kernel_options.winograd;
    winograd = false;
    const Result direct = run_case(c, step, {});
    winograd = true;
    return direct.value == r.value && direct.gradients == r.gradients;
}

/// `least`: how many quotients an op has at the least. Returns how many ops had any.
int check_quotients(const std::string& device_name, int least) {
    std::map<std::string, int> checked, rough;
    const auto check = [&](const OpEntry& op, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true), kept(device, std::size_t{1} << 30, true);
        std::vector<Numbers> in = random_inputs(c);
        const Result r = run_case(c, step, {.inputs = &in, .kept = &kept});
        if (device.kernel_options.winograd && is_direct(c, r, step)) return;
        const Numbers dy = random_numbers(r.value.size(), 1000);
        double magnitude = 0;
        auto loss = [&] {
            const Result z =
                run_case(c, step, {.wanted = std::vector<bool>(in.size(), false), .inputs = &in, .kept = &kept});
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
            const std::size_t most = device.kind() == DeviceKind::gpu ? 1 + 20 / in.size() : 61;
            const std::size_t stride = (1 + in[i].size() / most) * kThinned;
            for (std::size_t k = 0; k < in[i].size(); k += stride) {
                const double keep = in[i][k];
                auto at = [&](double d) {
                    in[i][k] = keep + d;
                    const double sum = loss();
                    in[i][k] = keep;
                    return sum;
                };
                auto rounding = [&] { return bound(c, DType::f64, magnitude); };
                const Quotient q = best_quotient(at, rounding);
                CAPTURE(i);
                CAPTURE(k);
                checked[op.name]++;
                rough[op.name] += !q.tells();
                const double error = std::abs(r.gradients.at(i)[k] - q.value);
                CHECK_MESSAGE(error <= q.tolerance, "gradient " << r.gradients.at(i)[k] << ", quotient " << q.value);
            }
        }
    };
    for_every_case(check, {device_name});
    const auto ops = static_cast<int>(checked.size());
    for (const OpEntry& op : registered_ops()) {
        if (!asked_for(op)) continue;
        CHECK(checked[op.name] * static_cast<int>(kThinned) >= least);
        CHECK_MESSAGE(rough[op.name] == 0, std::string(op.name) << ": " << rough[op.name] << " of " << checked[op.name]
                                                                << " were too rough to tell");
    }
    return ops;
}

}  // namespace

TEST_CASE("gradients equal difference quotients on the cpu") { check_quotients("cpu", 60); }
TEST_CASE("gradients equal difference quotients with Winograd's convolution") {
    const int ops = check_quotients("cpu, winograd", 0);
    if (!std::getenv("NASCENT_ONLY_OP")) CHECK(ops >= 3);  // those with 3x3 convolutions of many channels
}
TEST_CASE("gradients equal difference quotients on the gpu") {
    const bool gpu = gpu_device() != nullptr;
    check_quotients("gpu", gpu ? 20 : 0);
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
    CHECK((fused > 20 || std::getenv("NASCENT_ONLY_OP")));
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

TEST_CASE("a gradient that one input has already is added to, and no other") {
    for_every_case(
        [](const OpEntry&, const Case& c, Device& device) {
            Arena step(device, std::size_t{1} << 30, true);
            const Result fresh = run_case(c, step, {});
            for (const auto& [i, gradient] : fresh.gradients) {
                const auto input = static_cast<int>(i);
                Result r = run_case(c, step, {.begun = input});
                Numbers sum = begun_gradient(c, input);
                for (std::size_t k = 0; k < sum.size(); k++) sum[k] += gradient[k];
                CAPTURE(i);
                CHECK(distance(r.gradients.at(i), sum) <= bound(c, DType::f64, largest(sum)));
                r.gradients.at(i) = gradient;
                CHECK(r.gradients == fresh.gradients);  // to the bit
            }
        },
        {"cpu", "cpu, winograd"});
}

TEST_CASE("the same bits with one to four threads, and after a reset") {
    std::vector<std::unique_ptr<Device>> others;
    for (int threads : {2, 3, 4}) others.push_back(make_device("cpu", threads));
    for_every_case([&](const OpEntry&, const Case& c, Device& device) {
        Arena step(device, std::size_t{1} << 30, true);
        const Result first = run_case(c, step, {.dtype = DType::f32});
        const Result again = run_case(c, step, {.dtype = DType::f32});  // in memory that the reset filled with NaN
        CHECK(again.value == first.value);
        CHECK(again.gradients == first.gradients);
        for (double v : first.value) REQUIRE(std::isfinite(v));
        if (device.kind() != DeviceKind::cpu) return;
        for (const std::unique_ptr<Device>& other : others) {
            other->kernel_options = device.kernel_options;
            Arena other_step(*other, std::size_t{1} << 30, true);
            const Result r = run_case(c, other_step, {.dtype = DType::f32});
            const int threads = other->pool()->threads();
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
