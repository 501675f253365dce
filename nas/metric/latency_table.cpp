#include "nas/metric/latency_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

namespace nascent {
namespace {

constexpr std::string_view kTitle = "# spos latency table";
constexpr std::int64_t kMost = 1'000'000'000'000'000;  // eleven days

std::string columns_of(const chain::Space& space) {
    return space.channels ? "block,op,scale,nanoseconds" : "block,op,nanoseconds";
}

std::vector<std::string_view> split(std::string_view line, char at) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = line.find(at);
        parts.push_back(line.substr(0, end));
        if (end == std::string_view::npos) return parts;
        line.remove_prefix(end + 1);
    }
}

template <class T>
std::optional<T> integer(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Lines of a table, each with its number.
class Reader {
  public:
    Reader(std::string_view text, const std::string& file, const chain::Space& space)
        : rest_(text), file_(file), space_(space) {}

    LatencyTable read() {
        NASCENT_CHECK(next() && line_ == kTitle, data, "{}: expected the line '{}', found '{}'", where(), kTitle,
                      shown());
        header();
        NASCENT_CHECK(table_.space == space_.name, usage, "{}: it is a table of the space {}, expected one of {}",
                      file_, table_.space, space_.name);
        NASCENT_CHECK(line_ == columns_of(space_), data, "{}: expected the columns '{}', found '{}'", where(),
                      columns_of(space_), shown());
        while (next()) row();
        complete();
        return std::move(table_);
    }

  private:
    std::string where() const { return fmt::format("{}:{}", file_, number_); }
    std::string shown() const { return ended_ ? "the end of the file" : std::string(line_.substr(0, 100)); }

    bool next() {
        number_++;
        ended_ = rest_.empty();
        if (ended_) return false;
        const std::size_t end = rest_.find('\n');
        line_ = rest_.substr(0, end);
        if (line_.ends_with('\r')) line_.remove_suffix(1);
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
        return true;
    }

    int number_of(std::string_view key, std::string_view value) const {
        const auto n = integer<int>(value);
        NASCENT_CHECK(n && *n > 0, data, "{}: {}: expected a positive integer, found '{}'", where(), key,
                      value.substr(0, 100));
        return *n;
    }

    void header() {
        std::map<std::string_view, int> seen;
        while (next() && line_.starts_with("# ")) {
            const std::size_t colon = line_.find(": ");
            NASCENT_CHECK(colon != std::string_view::npos && colon + 2 < line_.size(), data,
                          "{}: expected '# KEY: VALUE', found '{}'", where(), shown());
            const std::string_view key = line_.substr(2, colon - 2), value = line_.substr(colon + 2);
            NASCENT_CHECK(seen[key]++ == 0, data, "{}: {} is there twice", where(), key);
            if (key == "space")
                table_.space = value;
            else if (key == "device")
                table_.device = value;
            else if (key == "dtype")
                table_.dtype = value;
            else if (int* field = integer_field(key))
                *field = number_of(key, value);
            else
                fail(ErrorKind::data,
                     "{}: unknown key '{}'; expected space, size, classes, batch, device, threads, "
                     "dtype or repeats",
                     where(), key.substr(0, 100));
        }
        for (const char* key : {"space", "size", "classes", "batch", "device", "threads", "dtype", "repeats"})
            NASCENT_CHECK(seen.contains(key), data, "{}: expected a line '# {}: ...' before it", where(), key);
    }

    int* integer_field(std::string_view key) {
        if (key == "size") return &table_.size;
        if (key == "classes") return &table_.classes;
        if (key == "batch") return &table_.batch;
        if (key == "threads") return &table_.threads;
        if (key == "repeats") return &table_.repeats;
        return nullptr;
    }

    void row() {
        const std::vector<std::string_view> parts = split(line_, ',');
        const std::size_t count = space_.channels ? 4 : 3;
        NASCENT_CHECK(parts.size() == count, data, "{}: expected {} columns ({}), found '{}'", where(), count,
                      columns_of(space_), shown());
        const auto time = integer<std::int64_t>(parts.back());
        NASCENT_CHECK(time && *time >= 0 && *time <= kMost, data,
                      "{}: expected a whole number of nanoseconds, 0 to {}, found '{}'", where(), kMost,
                      parts.back().substr(0, 100));
        if (parts[0] == "stem" || parts[0] == "head") return fixed(parts, *time);
        const auto block = integer<int>(parts[0]), op = integer<int>(parts[1]);
        const auto blocks = static_cast<int>(space_.blocks.size());
        NASCENT_CHECK(block && *block >= 0 && *block < blocks, data,
                      "{}: expected stem, head or a block's number 0..{}, found '{}'", where(), blocks - 1,
                      parts[0].substr(0, 100));
        const std::vector<int>& ops = space_.blocks[static_cast<std::size_t>(*block)].ops;
        NASCENT_CHECK(op && std::find(ops.begin(), ops.end(), *op) != ops.end(), data,
                      "{}: block {}: expected one of the operators {}, found '{}'", where(), *block,
                      fmt::join(ops, ", "), parts[1].substr(0, 100));
        int scale = chain::kUnscaled;
        if (space_.channels) {
            const auto given = integer<int>(parts[2]);
            NASCENT_CHECK(given && *given >= 0 && *given < chain::kScales, data,
                          "{}: expected a channel scale's number 0..{}, found '{}'", where(), chain::kScales - 1,
                          parts[2].substr(0, 100));
            scale = *given;
        }
        NASCENT_CHECK(table_.blocks.emplace(std::tuple(*block, *op, scale), *time).second, data,
                      "{}: block {}, operator {} is there twice", where(), *block, *op);
    }

    void fixed(const std::vector<std::string_view>& parts, std::int64_t time) {
        for (std::size_t i = 1; i + 1 < parts.size(); i++)
            NASCENT_CHECK(parts[i].empty(), data, "{}: {} has no operator, found '{}'", where(), parts[0],
                          parts[i].substr(0, 100));
        const bool stem = parts[0] == "stem";
        bool& there = stem ? stem_ : head_;
        NASCENT_CHECK(!there, data, "{}: {} is there twice", where(), parts[0]);
        there = true;
        (stem ? table_.stem : table_.head) = time;
    }

    void complete() const {
        NASCENT_CHECK(stem_ && head_, data, "{}: no entry for the {}; expected a row '{},...'", file_,
                      stem_ ? "head" : "stem", stem_ ? "head" : "stem");
        const chain::Choices all = chain::all_choices(space_);
        for (std::size_t b = 0; b < all.size(); b++)
            for (const chain::Choice& c : all[b])
                NASCENT_CHECK(table_.blocks.contains({static_cast<int>(b), c.op, c.scale}), data,
                              "{}: no entry for block {}, operator {} ({}){}; expected a row for every operator of the "
                              "space {}",
                              file_, b, c.op, space_.op(c.op).name,
                              space_.channels ? fmt::format(", channel scale {}", c.scale) : "", space_.name);
    }

    std::string_view rest_, line_;
    const std::string& file_;
    const chain::Space& space_;
    LatencyTable table_;
    int number_ = 0;
    bool ended_ = false, stem_ = false, head_ = false;
};

}  // namespace

std::string LatencyTable::to_csv(const chain::Space& s) const {
    std::string text = fmt::format(
        "{}\n# space: {}\n# size: {}\n# classes: {}\n# batch: {}\n# device: {}\n# threads: {}\n# dtype: {}\n"
        "# repeats: {}\n{}\n",
        kTitle, space, size, classes, batch, device, threads, dtype, repeats, columns_of(s));
    const std::string_view none = s.channels ? ",,," : ",,";
    text += fmt::format("stem{}{}\n", none, stem);
    for (const auto& [key, time] : blocks) {
        const auto [block, op, scale] = key;
        text += s.channels ? fmt::format("{},{},{},{}\n", block, op, scale, time)
                           : fmt::format("{},{},{}\n", block, op, time);
    }
    return text + fmt::format("head{}{}\n", none, head);
}

LatencyTable LatencyTable::parse(std::string_view text, const std::string& file, const chain::Space& space) {
    return Reader(text, file, space).read();
}

LatencyTable LatencyTable::read(const std::string& file, const chain::Space& space) {
    LatencyTable table = parse(read_file(file, std::uint64_t{1} << 26), file, space);
    NASCENT_CHECK(table.size == space.config.input_size && table.classes == space.config.classes, usage,
                  "{}: measured with pictures of {} and {} classes, the network has {} and {}; measure it again: spos "
                  "latency --space {} --size {} --classes {}",
                  file, table.size, table.classes, space.config.input_size, space.config.classes, space.name,
                  space.config.input_size, space.config.classes);
    return table;
}

PathCosts latency_costs(const LatencyTable& table, const chain::Space& space, const chain::Choices& choices,
                        std::int64_t grid) {
    NASCENT_CHECK(grid >= 1, usage, "a grid of {} ns", grid);
    const auto up = [&](std::int64_t time) { return (time + grid - 1) / grid * grid; };
    std::vector<std::vector<std::int64_t>> blocks;
    for (std::size_t b = 0; b < choices.size(); b++) {
        blocks.emplace_back();
        for (const chain::Choice& c : choices[b]) {
            const auto found = table.blocks.find({static_cast<int>(b), c.op, c.scale});
            NASCENT_CHECK(found != table.blocks.end(), usage, "the latency table of {} has no operator {} of block {}",
                          space.name, c.op, b);
            blocks.back().push_back(up(found->second));
        }
    }
    return PathCosts(up(table.stem) + up(table.head), blocks);
}

}  // namespace nascent
