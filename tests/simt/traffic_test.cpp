// Bytes that kernels move, where every access is counted.
#include "kernels/simt/traffic.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/simt/traffic.h"

namespace nascent::test {
namespace {

struct alignas(32) Sector {
    float v[8];
};

/// Memory of a device, from the beginning of a sector on.
struct Counted {
    std::vector<Sector> memory;
    explicit Counted(std::size_t bytes) : memory(bytes / sizeof(Sector)) { simt::count_traffic(memory.data(), bytes); }
    ~Counted() { simt::forget_traffic(memory.data()); }
    float* data() { return memory.data()->v; }
};

simt::Traffic only() {
    const std::vector<simt::Traffic> all = simt::take_traffic();
    REQUIRE(all.size() == 1);
    return all[0];
}

TEST_CASE("a copy moves what it needs, a halo a sector more in each block but the last") {
    REQUIRE(simt::counts_traffic());
    constexpr std::size_t count = 256, bytes = count * 16;
    Counted x(bytes), y(bytes);
    std::vector<float> uncounted(8);
    simt::take_traffic();
    for (const bool halo : {false, true}) {
        traffic_copy(x.data(), y.data(), count, halo);
        const simt::Traffic t = only();
        CHECK(t.place.find("traffic.cu:") != std::string::npos);
        CHECK(t.launches == 1);
        CHECK(t.blocks == 4);
        CHECK(t.read.needed == bytes);
        CHECK(t.read.moved == bytes + (halo ? 3 * 32 : 0));
        CHECK(t.written.needed == bytes);
        CHECK(t.written.moved == bytes);
    }
}

TEST_CASE("what every block reads counts for each, what one reads again does not, shared memory never") {
    constexpr int count = 1024, blocks = 6;
    Counted x(count * 4), y(blocks * 32);
    simt::take_traffic();
    for (int i = 0; i < 2; i++) traffic_sum(x.data(), y.data(), count, blocks);
    const simt::Traffic t = only();
    CHECK(t.launches == 2);
    CHECK(t.read.moved == 2 * blocks * count * 4);
    CHECK(t.read.needed == 2 * count * 4);
    CHECK(t.written.moved == 2 * blocks * 32);
    CHECK(t.written.needed == t.written.moved);
}

TEST_CASE("memory that is nobody's does not count") {
    std::vector<Sector> x(64), y(8);
    simt::take_traffic();
    traffic_sum(x.data()->v, y.data()->v, 512, 8);
    const simt::Traffic t = only();
    CHECK(t.launches == 1);
    CHECK(t.read.moved + t.written.moved == 0);
}

}  // namespace
}  // namespace nascent::test
