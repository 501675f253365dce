// How training draws its paths through a chain of blocks. Every path is a pure function of (seed, step).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "nas/algo/path_counts.h"

namespace nascent {

/// Every choice of every block equally probable.
class UniformPaths {
  public:
    /// Throws ErrorKind::usage for a block without a choice.
    explicit UniformPaths(std::vector<int> choices);
    std::vector<int> path(std::uint64_t seed, std::uint64_t step) const;

  private:
    std::vector<int> choices_;
};

/// Strictly fair (FairNAS): in n consecutive steps, counted from step 0, each of a block's n choices stands once, in an
/// order of its own for every block and round. Blocks with different numbers of choices have rounds of different
/// length.
class FairPaths {
  public:
    /// Throws ErrorKind::usage for a block without a choice or with more than 256.
    explicit FairPaths(std::vector<int> choices);
    std::vector<int> path(std::uint64_t seed, std::uint64_t step) const;

  private:
    std::vector<int> choices_;
};

/// SPOS's training: one of `low`..., each `width` wide with both ends in it, is drawn uniformly, then a path uniformly
/// from those whose cost is in it. The original draws paths until one fits and, after 500 in vain, takes any; `tries`
/// gives the law of that, drawn directly. 0: always a path that fits.
struct Buckets {
    std::int64_t low = 290'000'000, high = 360'000'000, width = 10'000'000;
    int tries = 0;
};
class BucketPaths {
  public:
    /// Throws ErrorKind::usage for numbers out of range, and with tries == 0 for a bucket without a path, telling the
    /// nearest costs.
    BucketPaths(const PathCosts& costs, const Buckets& buckets);
    std::vector<int> path(std::uint64_t seed, std::uint64_t step) const;

    std::size_t buckets() const { return ranges_.size(); }
    const PathRange& bucket(std::size_t i) const { return ranges_[i]; }
    /// Probability that a uniform path is in the bucket, and that `tries` of them are not.
    double hit(std::size_t i) const;
    double miss(std::size_t i) const;

  private:
    int tries_;
    PathRange all_;
    std::vector<PathRange> ranges_;
    std::size_t blocks_;
};

}  // namespace nascent
