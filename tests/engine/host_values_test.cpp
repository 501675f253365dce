// Numbers of the host at places of a device that stay.
#include "engine/memory/host_values.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/base/error.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

template <class T>
T read(Device& device, const void* place) {
    T value;
    device.copy_out(&value, place, sizeof(value));
    return value;
}

void check(Device& device) {
    HostValues values(device);
    values.send();  // of none
    auto* const rate = static_cast<double*>(values.take(sizeof(double)));
    const Tensor labels = values.tensor({3}, DType::i32);
    CHECK(read<double>(device, rate) == 0);
    values.write(rate, 0.5);
    const std::int32_t some[] = {7, 8, 9};
    values.write(labels.data, some, sizeof(some));
    CHECK(read<double>(device, rate) == 0);  // before they are sent
    values.send();
    CHECK(read<double>(device, rate) == 0.5);
    CHECK(read<std::int32_t>(device, labels.as<std::int32_t>() + 2) == 9);
    const void* later = values.take(std::size_t{1} << 20);  // the first stay where they are
    std::vector<char> zeros(std::size_t{1} << 20, 1);
    device.copy_out(zeros.data(), later, zeros.size());
    CHECK(std::count(zeros.begin(), zeros.end(), 0) == std::ptrdiff_t{1} << 20);
    CHECK(read<double>(device, rate) == 0.5);
    values.write(rate, 0.25);
    values.send();
    CHECK(read<double>(device, rate) == 0.25);
    CHECK(read<std::int32_t>(device, labels.data) == 7);
    CHECK(values.bytes() > std::size_t{1} << 20);
    double outside = 0;
    CHECK_THROWS_AS(values.write(&outside, 1.0), Error);
    CHECK_THROWS_AS(values.write(static_cast<char*>(labels.data) + values.bytes() - 4, 1.0), Error);
}

}  // namespace

TEST_CASE("numbers of the host are where they were taken, once they are sent") {
    check(*make_device("cpu", 1));
    if (const auto gpu = testing::gpu_device()) check(*gpu);
}

TEST_CASE("places for numbers of the host are not taken inside a capture") {
    const auto gpu = testing::gpu_device();
    if (!gpu) return;
    HostValues values(*gpu);
    values.take(8);
    CaptureScope capture(*gpu);
    CHECK_THROWS_AS(values.take(8), Error);
    CHECK_THROWS_AS(values.send(), Error);
}
