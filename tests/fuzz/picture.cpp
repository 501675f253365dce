#include "nas/data/picture.h"

#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return nascent::fuzz::expect_error_or_nothing([&] {
        const auto picture = nascent::decode_picture({data, size}, "fuzz");
        if (picture.height > 0 && picture.height <= 512 && picture.width <= 512) nascent::square_resized(picture, 32);
    });
}
