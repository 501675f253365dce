#include "nas/data/pack.h"

#include <vector>

#include "engine/io/crc32.h"
#include "nas/data/pack_layout.h"
#include "tests/fuzz/harness.h"

namespace {
std::uint64_t number(const std::vector<std::uint8_t>& bytes, std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) value = value << 8 | bytes[at + i];
    return value;
}

void put(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; i++) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Makes the checksums right, which no mutation would.
void seal(std::vector<std::uint8_t>& bytes) {
    using namespace nascent::pack_layout;
    if (bytes.size() < border + tail_bytes) return;
    const std::size_t tail = bytes.size() - tail_bytes;
    const std::uint64_t tables = number(bytes, tail);
    const auto all = std::as_bytes(std::span(bytes));
    if (tables <= tail) put(bytes, tail + 24, nascent::crc32(all.subspan(tables, tail - tables)));
    put(bytes, tail + 28, nascent::crc32(all.subspan(tail, 28)));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    // The first byte says whether the checksums are made right. On the heap, where reading too far is seen.
    std::vector<std::uint8_t> bytes(data + 1, data + size);
    if (data[0] % 4 != 0) seal(bytes);
    return nascent::fuzz::expect_error_or_nothing([&] {
        const nascent::PackTables tables = nascent::parse_pack(bytes, "fuzz");
        unsigned sum = 0;
        for (const nascent::PackEntry& e : tables.entries) {
            for (std::size_t i = 0; i < e.bytes(); i++) sum += bytes[e.offset + i];
            sum += static_cast<unsigned>(e.name.size());
        }
        if (sum == 1) throw nascent::Error(nascent::ErrorKind::data, "");  // so that the reads are not optimised away
    });
}
