// Benchmark results as a CSV table with one row per NAS-Bench-201 architecture.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace nascent {

/// A table read from a CSV file (RFC 4180: quoted fields, doubled quotes, line breaks inside quotes, LF or CRLF).
/// The header must name a column `arch`; a column `index`, if any, must hold the benchmark's index of the row's
/// architecture. All 15 625 architectures must be there exactly once, in any order.
class BenchmarkTable {
  public:
    /// Throws ErrorKind::data naming file, line and column of the first thing that is wrong.
    static BenchmarkTable read(const std::string& path);
    /// The same from a text in memory; `name` stands for the file in errors.
    static BenchmarkTable parse(std::string_view text, const std::string& name);

    /// Names of all columns in file order.
    const std::vector<std::string>& columns() const { return columns_; }
    /// Percent (0..100) of a column by lexicographic architecture id. Throws ErrorKind::usage with the nearest name for
    /// a column that is not there, ErrorKind::data with the line for a field that is no percentage.
    std::vector<double> accuracy(std::string_view column) const;
    /// The accuracy of an architecture (by id) in a column, and its rank there: 1 where no other is above it.
    struct Standing {
        double accuracy;
        int rank;
    };
    Standing standing(std::string_view column, int id) const;
    /// A column as it is written, by lexicographic architecture id. Throws ErrorKind::usage as accuracy() does.
    std::vector<std::string> text(std::string_view column) const;
    /// The column RLNAS compares with for a data set of 10, 100 or 120 classes: cifar10_test_200, cifar100_test_200,
    /// imagenet16_120_test_200. Throws ErrorKind::data for another number of classes or where the column is missing.
    std::string guess_column(int classes) const;

  private:
    std::size_t find(std::string_view column) const;
    struct Row {
        int line = 0;  // where it begins, from 1
        std::vector<std::string> fields;
    };
    std::string name_;
    std::vector<std::string> columns_;
    std::vector<Row> rows_;  // by lexicographic id
};

/// `column`, or the one for that many classes where it is empty, which `say` is then told.
std::string chosen_column(const BenchmarkTable& table, const std::string& column, int classes,
                          const std::function<void(const std::string&)>& say);

/// 1: nothing in `truth` is above it.
int rank_of(const std::vector<double>& truth, double accuracy);

}  // namespace nascent
