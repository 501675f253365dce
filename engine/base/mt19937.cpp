#include "engine/base/mt19937.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "engine/base/error.h"

namespace nascent {
namespace {
constexpr int kWords = 624;
constexpr int kShift = 397;

double from_words(std::uint32_t high, std::uint32_t low) {
    return ((high >> 5) * 67108864.0 + (low >> 6)) / 9007199254740992.0;
}
}  // namespace

Mt19937::Mt19937(std::uint32_t seed) {
    auto& w = state_.words;
    w[0] = seed;
    for (std::uint32_t i = 1; i < kWords; ++i) w[i] = 1812433253u * (w[i - 1] ^ (w[i - 1] >> 30)) + i;
}

Mt19937::Mt19937(const std::vector<std::uint32_t>& key) : Mt19937(19650218u) {
    NASCENT_CHECK(!key.empty(), usage, "the Mersenne Twister needs at least one word of seed");
    auto& w = state_.words;
    std::size_t i = 1, j = 0;
    auto advance = [&] {
        if (++i == kWords) {
            w[0] = w[kWords - 1];
            i = 1;
        }
    };
    for (std::size_t k = std::max<std::size_t>(kWords, key.size()); k > 0; --k) {
        w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1664525u)) + key[j] + static_cast<std::uint32_t>(j);
        advance();
        if (++j == key.size()) j = 0;
    }
    for (int k = kWords - 1; k > 0; --k) {
        w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1566083941u)) - static_cast<std::uint32_t>(i);
        advance();
    }
    w[0] = 0x80000000u;
}

Mt19937::Mt19937(const Mt19937State& state) : state_(state) {
    NASCENT_CHECK(state.position >= 0 && state.position <= kWords, data,
                  "Mersenne Twister state: position {} is outside 0..{}", state.position, kWords);
    bool any = std::any_of(state.words.begin(), state.words.end(), [](std::uint32_t w) { return w != 0; });
    NASCENT_CHECK(any, data, "Mersenne Twister state: all {} words are zero", kWords);
}

void Mt19937::refill() {
    auto& w = state_.words;
    for (std::size_t i = 0; i < kWords; ++i) {
        std::uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % kWords] & 0x7fffffffu);
        w[i] = w[(i + kShift) % kWords] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    state_.position = 0;
}

std::uint32_t Mt19937::next() {
    if (state_.position == kWords) refill();
    std::uint32_t y = state_.words[static_cast<std::size_t>(state_.position++)];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

std::int64_t NumpyRandom::randint(std::int64_t low, std::int64_t high) {
    NASCENT_CHECK(low < high, usage, "randint({}, {}): the range is empty", low, high);
    // The difference of two int64 fits in uint64.
    std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) - 1;
    NASCENT_CHECK(range <= 0xffffffffu, usage, "randint({}, {}): more than 2^32 values", low, high);
    if (range == 0) return low;
    auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << std::bit_width(range)) - 1);
    std::uint32_t value = twister_.next() & mask;
    while (value > range) value = twister_.next() & mask;
    return low + static_cast<std::int64_t>(value);
}

double NumpyRandom::random_sample() {
    std::uint32_t high = twister_.next();
    return from_words(high, twister_.next());
}

std::vector<int> NumpyRandom::choice(int n, int size) {
    NASCENT_CHECK(n > 0 && size >= 0 && size <= n, usage, "choice: {} of {} without replacement", size, n);
    std::vector<int> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = order.size(); i-- > 1;) {
        std::swap(order[i], order[static_cast<std::size_t>(randint(0, static_cast<std::int64_t>(i) + 1))]);
    }
    order.resize(static_cast<std::size_t>(size));
    return order;
}

PythonRandom::PythonRandom(std::uint64_t seed)
    : twister_(seed >> 32 ? std::vector<std::uint32_t>{static_cast<std::uint32_t>(seed),
                                                       static_cast<std::uint32_t>(seed >> 32)}
                          : std::vector<std::uint32_t>{static_cast<std::uint32_t>(seed)}) {}

std::uint64_t PythonRandom::getrandbits(int bits) {
    NASCENT_CHECK(bits >= 1 && bits <= 64, usage, "getrandbits({}): 1..64 bits", bits);
    if (bits <= 32) return twister_.next() >> (32 - bits);
    std::uint64_t low = twister_.next();
    return low | static_cast<std::uint64_t>(twister_.next() >> (64 - bits)) << 32;
}

std::uint64_t PythonRandom::below(std::uint64_t n) {
    NASCENT_CHECK(n > 0, usage, "random choice from an empty list");
    int bits = static_cast<int>(std::bit_width(n));
    std::uint64_t value = getrandbits(bits);
    while (value >= n) value = getrandbits(bits);
    return value;
}

double PythonRandom::random() {
    std::uint32_t high = twister_.next();
    return from_words(high, twister_.next());
}

}  // namespace nascent
