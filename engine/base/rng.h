// Counter-based random numbers (Philox4x32-10, Random123): a draw is a pure function of (seed, stream, step, element),
// so neither threads nor workers nor a restart can change it, and (seed, step) is the whole state.
#pragma once
#include <array>
#include <cstdint>

namespace nascent {

/// What the numbers are for; each purpose has its own stream, so adding one moves no other.
enum class RandomStream : std::uint32_t {
    init,
    path,
    order,
    augment,
    labels,
    synthetic,
    search,
    test,
    architecture,
    picture,
    widening,
    dropout
};

/// One Philox block of four words, with ways to read it.
class Random {
  public:
    /// Key = seed; counter = (element, stream, step).
    Random(std::uint64_t seed, RandomStream stream, std::uint64_t step, std::uint32_t element);
    /// Word i of 4.
    std::uint32_t word(int i) const { return words_[static_cast<std::size_t>(i)]; }
    /// Pair i of 2 as a uniform in [0, 1) with 53 bits.
    double uniform(int i) const { return static_cast<double>(pair(i) >> 11) * 0x1.0p-53; }
    /// Pair i of 2 as an integer in [0, n), n > 0; the bias is below n / 2^64.
    std::uint32_t below(int i, std::uint32_t n) const {
        return static_cast<std::uint32_t>((static_cast<unsigned __int128>(pair(i)) * n) >> 64);
    }

  private:
    std::uint64_t pair(int i) const { return (static_cast<std::uint64_t>(word(2 * i)) << 32) | word(2 * i + 1); }
    std::array<std::uint32_t, 4> words_;
};

/// A permutation of 0..n-1 as a bijection: element i of shuffle `step` in O(1), with no table (a Feistel network of
/// Philox rounds over the next power of four, walked until it falls inside n).
std::uint64_t shuffled(std::uint64_t seed, RandomStream stream, std::uint64_t step, std::uint64_t n, std::uint64_t i);

}  // namespace nascent
