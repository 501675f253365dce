// The Mersenne Twister as NumPy's legacy generator and CPython's `random` read it, bit for bit. Only for replaying the
// draws of published code; everything else uses engine/base/rng.h.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nascent {

/// The whole state as plain numbers: 624 words and the place of the next one, 0..624. The same pair is in NumPy's
/// `get_state()` and at the front of CPython's `getstate()`.
struct Mt19937State {
    std::array<std::uint32_t, 624> words{};
    int position = 624;
    bool operator==(const Mt19937State&) const = default;
};

/// MT19937 of Matsumoto and Nishimura (1998), 32 bits a draw.
class Mt19937 {
  public:
    /// Their `init_genrand`: one 32-bit seed.
    explicit Mt19937(std::uint32_t seed);
    /// Their `init_by_array`: any number of 32-bit words, at least one.
    explicit Mt19937(const std::vector<std::uint32_t>& key);
    /// Goes on from a saved state; throws ErrorKind::data where the position is outside 0..624 or all words are zero.
    explicit Mt19937(const Mt19937State& state);
    std::uint32_t next();
    const Mt19937State& state() const { return state_; }

  private:
    void refill();
    Mt19937State state_;
};

/// `numpy.random.RandomState` (the legacy generator behind `numpy.random.seed`).
class NumpyRandom {
  public:
    /// `numpy.random.seed(seed)`.
    explicit NumpyRandom(std::uint32_t seed) : twister_(seed) {}
    explicit NumpyRandom(const Mt19937State& state) : twister_(state) {}
    /// `randint(low, high)`: masked rejection; takes nothing from the stream when only `low` is possible. Throws
    /// ErrorKind::usage unless low < high and high - low <= 2^32.
    std::int64_t randint(std::int64_t low, std::int64_t high);
    /// `randint(high)` as an index.
    int below(int high) { return static_cast<int>(randint(0, high)); }
    /// `random_sample()`: 53 bits, uniform in [0, 1).
    double random_sample();
    /// The positions `choice(list of n, size, replace=False)` picks, in its order: the first `size` of a whole
    /// Fisher-Yates shuffle, all of which is drawn whatever the size.
    std::vector<int> choice(int n, int size);
    const Mt19937State& state() const { return twister_.state(); }

  private:
    Mt19937 twister_;
};

/// CPython's `random.Random` for integer seeds.
class PythonRandom {
  public:
    /// `random.seed(seed)` for a seed >= 0 below 2^64 (CPython takes the absolute value of a negative one).
    explicit PythonRandom(std::uint64_t seed);
    explicit PythonRandom(const Mt19937State& state) : twister_(state) {}
    /// `getrandbits(bits)` for 1 <= bits <= 64.
    std::uint64_t getrandbits(int bits);
    /// `randrange(n)` and the index behind `choice`: rejection over n.bit_length() bits (CPython 3.2 and later). n > 0.
    std::uint64_t below(std::uint64_t n);
    /// `random()`: 53 bits, uniform in [0, 1).
    double random();
    template <class T>
    const T& choice(const std::vector<T>& list) {
        return list[static_cast<std::size_t>(below(list.size()))];
    }
    /// `shuffle(list)`.
    template <class T>
    void shuffle(std::vector<T>& list) {
        for (std::size_t i = list.size(); i-- > 1;) std::swap(list[i], list[static_cast<std::size_t>(below(i + 1))]);
    }
    const Mt19937State& state() const { return twister_.state(); }

  private:
    Mt19937 twister_;
};

}  // namespace nascent
