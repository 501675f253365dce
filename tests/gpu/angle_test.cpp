// Angle sums on the GPU against the CPU's.
#include "kernels/angle.h"

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu angle sums", T, float, double) {
    // More ranges than one launch takes, one that several blocks share, odd counts, missed steps.
    for (std::size_t ranges : {std::size_t{1}, std::size_t{7}, std::size_t{700}}) {
        std::vector<Guarded<T>> data;
        std::vector<kernels::AngleRange<T>> list;
        Numbers numbers(3);
        for (std::size_t i = 0; i < ranges; i++) {
            const std::size_t count = i == 3 ? 5003 : 1 + i * 7 % 23;
            for (int k = 0; k < 3; k++) data.push_back(at_skew(numbers.uniform<T>(count), i % 2 == 0));
        }
        for (std::size_t i = 0; i < ranges; i++) {
            const auto* d = &data[3 * i];
            list.push_back({d[0].data(), d[1].data(), d[2].data(), d[0].size(), {1, 0}});
            if (i % 3 == 1) list.back().gap[0] = 0.75, list.back().gap[1] = -0.5;
        }
        Guarded<double> want(3 * ranges);
        kernels::angle_sums<T>({}, list, want.data(), nullptr);
        double direct = 0;
        for (std::size_t k = 0; k < data[0].size(); k++) direct += double(data[0][k]) * double(data[1][k]);
        CHECK(std::abs(direct - want[0]) < 1e-12);
        in_every_order([&] {
            Workspace workspace(kernels::angle_sums_workspace<T>(kGpu, list));
            Guarded<double> sums(3 * ranges);
            kernels::angle_sums<T>(kGpu, list, sums.data(), workspace.get());
            CHECK(workspace.intact());
            CHECK(sums.intact());
            // Products of numbers below 2 in magnitude, summed in two orders.
            for (std::size_t i = 0; i < sums.size(); i++)
                CHECK(std::abs(sums[i] - want[i]) <= 2 * 4.0 * static_cast<double>(list[i / 3].count) *
                                                         static_cast<double>(list[i / 3].count) * 2.3e-16);
            return std::vector<Guarded<double>>{sums};
        });
    }
}

}  // namespace
}  // namespace nascent::test
