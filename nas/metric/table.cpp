#include "nas/metric/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>

#include "engine/base/error.h"
#include "nas/space/nasbench201.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {

/// Splits CSV text into records.
class CsvReader {
  public:
    CsvReader(std::string_view text, const std::string& name) : text_(text), name_(name) {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    }
    bool done() const { return at_ >= text_.size(); }
    /// The line the next record begins on.
    int line() const { return line_; }
    std::vector<std::string> record() {
        std::vector<std::string> fields;
        int first_line = line_;
        for (;;) {
            fields.push_back(field(first_line, fields.size() + 1));
            if (done()) return fields;
            char c = text_[at_++];
            if (c == ',') continue;
            if (c == '\r' && !done() && text_[at_] == '\n') c = text_[at_++];
            NASCENT_CHECK(c == '\n', data, "{}, line {}, field {}: a carriage return without a line feed", name_, line_,
                          fields.size());
            ++line_;
            return fields;
        }
    }

  private:
    std::string field(int record_line, std::size_t number) {
        std::string value;
        if (done() || text_[at_] != '"') {
            std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
            value = text_.substr(at_, end - at_);
            NASCENT_CHECK(value.find('"') == std::string::npos, data,
                          "{}, line {}, field {}: a quote inside a field that does not begin with one", name_, line_,
                          number);
            at_ = end;
            return value;
        }
        for (++at_;; ++at_) {
            NASCENT_CHECK(!done(), data, "{}, line {}, field {}: the quote that opens the field is not closed", name_,
                          record_line, number);
            char c = text_[at_];
            if (c == '"') {
                if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
                    ++at_;
                } else {
                    break;
                }
            }
            if (c == '\n') ++line_;
            value += c;
        }
        ++at_;
        NASCENT_CHECK(done() || text_[at_] == ',' || text_[at_] == '\r' || text_[at_] == '\n', data,
                      "{}, line {}, field {}: expected a comma or the end of the line after the closing quote", name_,
                      line_, number);
        return value;
    }

    std::string_view text_;
    std::string name_;
    std::size_t at_ = 0;
    int line_ = 1;
};

std::string shown(std::string_view field) {
    return field.size() > 100 ? std::string(field.substr(0, 100)) + "..." : std::string(field);
}

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

BenchmarkTable BenchmarkTable::read(const std::string& path) {
    std::error_code error;
    auto size = std::filesystem::file_size(path, error);
    NASCENT_CHECK(!error, data, "{}: cannot be read ({})", path, error.message());
    NASCENT_CHECK(size <= (std::uintmax_t{1} << 30), data, "{}: {} bytes; a table of {} rows has less than 1 GiB", path,
                  size, nb201::kArchitectures);
    std::ifstream file(path, std::ios::binary);
    std::string text(static_cast<std::size_t>(size), '\0');
    file.read(text.data(), static_cast<std::streamsize>(size));
    NASCENT_CHECK(file.gcount() == static_cast<std::streamsize>(size), data, "{}: ends after {} of {} bytes", path,
                  file.gcount(), size);
    return parse(text, path);
}

BenchmarkTable BenchmarkTable::parse(std::string_view text, const std::string& name) {
    CsvReader in(text, name);
    NASCENT_CHECK(!in.done(), data, "{}: empty; expected a header line with a column arch", name);
    BenchmarkTable table;
    table.name_ = name;
    table.columns_ = in.record();
    const auto& columns = table.columns_;
    for (std::size_t c = 0; c < columns.size(); ++c) {
        NASCENT_CHECK(!columns[c].empty(), data, "{}, line 1, column {}: the header has no name there", name, c + 1);
        NASCENT_CHECK(std::find(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(c), columns[c]) ==
                          columns.begin() + static_cast<std::ptrdiff_t>(c),
                      data, "{}, line 1, column {}: '{}' is there twice", name, c + 1, shown(columns[c]));
    }
    auto place = [&](std::string_view column) {
        return std::find(columns.begin(), columns.end(), column) - columns.begin();
    };
    auto arch_at = static_cast<std::size_t>(place("arch"));
    NASCENT_CHECK(arch_at < columns.size(), data, "{}, line 1: no column 'arch'; found {} columns from '{}' to '{}'",
                  name, columns.size(), shown(columns.front()), shown(columns.back()));
    auto index_at = static_cast<std::size_t>(place("index"));

    table.rows_.resize(nb201::kArchitectures);
    int count = 0;
    while (!in.done()) {
        int line = in.line();
        Row row{line, in.record()};
        if (row.fields.size() == 1 && row.fields[0].empty() && columns.size() > 1) {
            NASCENT_CHECK(in.done(), data, "{}, line {}: empty line inside the table", name, line);
            break;
        }
        NASCENT_CHECK(row.fields.size() == columns.size(), data, "{}, line {}: {} fields; the header has {}", name,
                      line, row.fields.size(), columns.size());
        int id = 0, index = 0;
        try {
            nb201::Architecture arch = nb201::parse_architecture(row.fields[arch_at]);
            id = arch.id();
            index = nb201::official_index(arch);
        } catch (const Error& e) {
            fail(ErrorKind::data, "{}, line {}, column arch: {}", name, line, e.what());
        }
        if (index_at < columns.size()) {
            std::optional<int> written = number<int>(row.fields[index_at]);
            NASCENT_CHECK(written == index, data, "{}, line {}, column index: '{}'; the benchmark's index of {} is {}",
                          name, line, shown(row.fields[index_at]), shown(row.fields[arch_at]), index);
        }
        Row& slot = table.rows_[static_cast<std::size_t>(id)];
        NASCENT_CHECK(slot.line == 0, data, "{}, line {}, column arch: {} is also on line {}", name, line,
                      shown(row.fields[arch_at]), slot.line);
        slot = std::move(row);
        ++count;
    }
    if (count < nb201::kArchitectures) {
        auto missing = std::find_if(table.rows_.begin(), table.rows_.end(), [](const Row& r) { return r.line == 0; });
        auto arch = nb201::Architecture::from_id(static_cast<int>(missing - table.rows_.begin()));
        fail(ErrorKind::data, "{}: {} of {} architectures; the first missing one is {}", name, count,
             nb201::kArchitectures, nb201::to_string(arch));
    }
    return table;
}

std::size_t BenchmarkTable::find(std::string_view column) const {
    auto at = static_cast<std::size_t>(std::find(columns_.begin(), columns_.end(), column) - columns_.begin());
    if (at == columns_.size()) {
        std::vector<std::string_view> names(columns_.begin(), columns_.end());
        fail(ErrorKind::usage, "{}: no column '{}'; nearest: {}", name_, shown(column), nearest_name(column, names));
    }
    return at;
}

std::vector<std::string> BenchmarkTable::text(std::string_view column) const {
    std::size_t at = find(column);
    std::vector<std::string> values;
    for (const Row& row : rows_) values.push_back(row.fields[at]);
    return values;
}

std::vector<double> BenchmarkTable::accuracy(std::string_view column) const {
    std::size_t at = find(column);
    std::vector<double> values;
    values.reserve(rows_.size());
    for (const Row& row : rows_) {
        std::optional<double> value = number<double>(row.fields[at]);
        NASCENT_CHECK(value && *value >= 0 && *value <= 100, data,
                      "{}, line {}, column {}: '{}'; expected a percentage 0..100", name_, row.line, column,
                      shown(row.fields[at]));
        values.push_back(*value);
    }
    return values;
}

std::string BenchmarkTable::guess_column(int classes) const {
    NASCENT_CHECK(classes == 10 || classes == 100 || classes == 120, data,
                  "{}: the benchmark has data sets of 10, 100 and 120 classes, not {}; name a column", name_, classes);
    std::string column = classes == 10    ? "cifar10_test_200"
                         : classes == 100 ? "cifar100_test_200"
                                          : "imagenet16_120_test_200";
    if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) {
        std::vector<std::string_view> names(columns_.begin(), columns_.end());
        fail(ErrorKind::data, "{}: no column '{}' for {} classes; nearest: {}", name_, column, classes,
             nearest_name(column, names));
    }
    return column;
}

std::string chosen_column(const BenchmarkTable& table, const std::string& column, int classes,
                          const std::function<void(const std::string&)>& say) {
    if (!column.empty()) return column;
    const std::string guess = table.guess_column(classes);
    say(fmt::format("table: column {}, guessed from the {} classes (--table-column chooses)", guess, classes));
    return guess;
}

int rank_of(const std::vector<double>& truth, double accuracy) {
    return 1 + static_cast<int>(std::count_if(truth.begin(), truth.end(), [&](double t) { return t > accuracy; }));
}

BenchmarkTable::Standing BenchmarkTable::standing(std::string_view column, int id) const {
    const std::vector<double> truth = accuracy(column);
    const double own = truth.at(static_cast<std::size_t>(id));
    return {own, rank_of(truth, own)};
}

}  // namespace nascent
