#include "engine/io/safetensors_header.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/error.h"

namespace nascent {
namespace {

/// Takes the header event by event: the only objects and arrays allowed are the format's own, so nothing grows beyond
/// the header's length, and a name that comes twice is seen (a document tree would hide it).
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
  public:
    std::vector<SafeEntry> entries;
    std::map<std::string, std::string> metadata;
    std::string error;

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("true or false"); }
    bool number_integer(number_integer_t value) override { return unexpected(fmt::format("the number {}", value)); }
    bool number_float(number_float_t, const string_t& text) override { return unexpected("the number " + text); }
    bool binary(binary_t&) override { return unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (list_ == nullptr) return unexpected(fmt::format("the number {}", value));
        list_->push_back(value);
        return true;
    }
    bool string(string_t& value) override {
        if (list_ != nullptr || depth_ != 2) return unexpected("a string");
        if (in_metadata_) {
            if (!metadata.emplace(member_, value).second) return complain("metadata key \"{}\" comes twice", member_);
            return true;
        }
        SafeEntry& entry = entries.back();
        if (member_ != "dtype") return unexpected("a string");
        if (!entry.dtype.empty()) return complain("tensor \"{}\": \"dtype\" comes twice", entry.name);
        entry.dtype = value;
        return true;
    }
    bool start_object(std::size_t) override {
        if (list_ != nullptr || depth_ >= 2) return unexpected("an object");
        depth_++;
        if (depth_ == 2) {
            in_metadata_ = member_ == safetensors_metadata;
            if (in_metadata_ && seen_metadata_) return complain("\"{}\" comes twice", safetensors_metadata);
            seen_metadata_ = seen_metadata_ || in_metadata_;
            if (!in_metadata_) entries.push_back({member_, {}, {}, {}, false, false});
        }
        return true;
    }
    bool key(string_t& value) override {
        member_ = value;
        return true;
    }
    bool end_object() override {
        depth_--;
        return true;
    }
    bool start_array(std::size_t) override {
        if (list_ != nullptr || depth_ != 2 || in_metadata_) return unexpected("an array");
        SafeEntry& entry = entries.back();
        if (member_ != "shape" && member_ != "data_offsets") return unexpected("an array");
        bool& seen = member_ == "shape" ? entry.has_shape : entry.has_offsets;
        if (seen) return complain("tensor \"{}\": \"{}\" comes twice", entry.name, member_);
        seen = true;
        list_ = member_ == "shape" ? &entry.shape : &entry.offsets;
        return true;
    }
    bool end_array() override {
        list_ = nullptr;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        return complain("byte {} of the header is not valid JSON", position);
    }

  private:
    template <class... Args>
    bool complain(fmt::format_string<Args...> format, Args&&... args) {
        if (error.empty()) error = fmt::format(format, std::forward<Args>(args)...);
        return false;
    }
    bool unexpected(const std::string& what) {
        if (depth_ == 0) return complain("expected a JSON object, found {}", what);
        if (depth_ == 1) return complain("\"{}\": expected an object, found {}", member_, what);
        if (in_metadata_) return complain("metadata key \"{}\": expected a string, found {}", member_, what);
        return complain(
            "tensor \"{}\": \"{}\" with {}, expected dtype (a string), shape and data_offsets (lists of sizes)",
            entries.back().name, member_, what);
    }
    int depth_ = 0;
    bool in_metadata_ = false, seen_metadata_ = false;
    std::string member_;
    std::vector<std::uint64_t>* list_ = nullptr;
};

}  // namespace

SafeHeader parse_safetensors_header(std::string_view text, const std::string& path) {
    NASCENT_CHECK(!text.empty() && text.front() == '{', checkpoint, "{}: the header does not start with '{{'", path);
    HeaderHandler handler;
    const bool good = nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
    NASCENT_CHECK(good && handler.error.empty(), checkpoint, "{}: {}", path, handler.error);
    for (const SafeEntry& e : handler.entries) {
        NASCENT_CHECK(!e.dtype.empty() && e.has_shape && e.has_offsets, checkpoint,
                      "{}: tensor \"{}\": expected dtype, shape and data_offsets", path, e.name);
        NASCENT_CHECK(e.offsets.size() == 2 && e.offsets[0] <= e.offsets[1], checkpoint,
                      "{}: tensor \"{}\": data_offsets [{}], expected [begin, end] with begin <= end", path, e.name,
                      fmt::join(e.offsets, ", "));
    }
    return {std::move(handler.entries), std::move(handler.metadata)};
}

}  // namespace nascent
