#include "nas/run/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/crc32.h"
#include "engine/io/json_text.h"

namespace nascent {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view step_prefix = "step-", tensors_name = "state.safetensors", state_name = "state.json";

std::string crc_text(std::uint32_t crc) { return fmt::format("{:08x}", crc); }

/// state.json is one JSON object that begins with the CRC of everything after this beginning:
/// {"crc32":"xxxxxxxx",...,"state":STATE}\n with STATE as it was given.
std::string seal(const std::string& rest) { return fmt::format("{{\"crc32\":\"{}\",", crc_text(crc32(rest))) + rest; }
constexpr std::size_t seal_size = 20;

std::int64_t integer(const nlohmann::json& object, const char* name, const std::string& path) {
    NASCENT_CHECK(object.contains(name) && object[name].is_number_integer() && object[name].get<std::int64_t>() >= 0,
                  checkpoint, "{}: expected an integer \"{}\"", path, name);
    return object[name].get<std::int64_t>();
}

}  // namespace

CheckpointStore::CheckpointStore(std::string folder) : folder_(std::move(folder)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
        std::error_code ignored;  // what cannot be removed is in nobody's way
        if (is_temporary_name(entry.path().filename().string())) fs::remove_all(entry.path(), ignored);
    }
}

std::string CheckpointStore::path_of(std::int64_t step) const {
    return fmt::format("{}/{}{:09}", folder_, step_prefix, step);
}

std::vector<std::int64_t> CheckpointStore::steps() const {
    std::vector<std::int64_t> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
        const std::string name = entry.path().filename().string();
        if (name.rfind(step_prefix, 0) != 0) continue;
        std::int64_t step = 0;
        const char* end = name.data() + name.size();
        const auto [stop, error] = std::from_chars(name.data() + step_prefix.size(), end, step);
        if (error == std::errc() && stop == end && step >= 0 && entry.is_directory()) found.push_back(step);
    }
    std::sort(found.begin(), found.end());
    return found;
}

void CheckpointStore::save(std::int64_t step, std::int64_t journal_size, const std::vector<SafeTensor>& tensors,
                           const std::string& state) {
    NASCENT_CHECK(nlohmann::json::accept(state), runtime, "checkpoint of step {}: its state is not JSON", step);
    const std::string path = path_of(step), temporary = path + ".tmp-new";
    fs::remove_all(temporary);
    std::error_code error;
    fs::create_directory(temporary, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", path, error.message());
    try {
        const FileStamp stamp = write_safetensors(fmt::format("{}/{}", temporary, tensors_name), tensors);
        JsonObject head;
        head.add("v", 1).add("step", step).add("journal_size", journal_size);
        head.add("tensors_bytes", stamp.bytes)
            .add("tensors_crc32", crc_text(stamp.crc32))
            .add("state_bytes", state.size());
        write_file_atomic(fmt::format("{}/{}", temporary, state_name),
                          seal(head.members() + ",\"state\":" + state + "}\n"));
        replace_directory(temporary, path);
    } catch (...) {
        fs::remove_all(temporary, error);
        throw;
    }
    prune();
}

void CheckpointStore::prune() const {
    const std::vector<std::int64_t> all = steps();
    for (std::size_t i = 0; i + keep < all.size(); i++) {
        if (all[i] == 0) continue;
        // Under a temporary name first: a folder that is half removed must not look like a checkpoint.
        const std::string doomed = path_of(all[i]) + ".tmp-old";
        std::error_code ignored;
        fs::rename(path_of(all[i]), doomed, ignored);
        fs::remove_all(doomed, ignored);
    }
}

Checkpoint CheckpointStore::load(std::int64_t step) const {
    const std::string folder = path_of(step), path = fmt::format("{}/{}", folder, state_name);
    std::string text;
    try {
        text = read_file(path);
    } catch (const Error& e) {
        fail(ErrorKind::checkpoint, "{}", e.what());
    }
    NASCENT_CHECK(text.size() > seal_size && seal(text.substr(seal_size)) == text, checkpoint,
                  "{}: damaged, its checksum is wrong", path);
    const nlohmann::json head = nlohmann::json::parse(text, nullptr, false);
    NASCENT_CHECK(head.is_object(), checkpoint, "{}: not a JSON object", path);
    NASCENT_CHECK(integer(head, "v", path) == 1, checkpoint, "{}: version {}, this program reads 1", path,
                  integer(head, "v", path));
    NASCENT_CHECK(integer(head, "step", path) == step, checkpoint, "{}: of step {}, but the folder says {}", path,
                  integer(head, "step", path), step);
    const auto state_bytes = static_cast<std::size_t>(integer(head, "state_bytes", path));
    NASCENT_CHECK(state_bytes + 2 < text.size() && head.contains("tensors_crc32") && head["tensors_crc32"].is_string(),
                  checkpoint, "{}: expected the sizes and checksums of a checkpoint", path);

    Checkpoint result;
    result.step = step;
    result.journal_size = integer(head, "journal_size", path);
    result.state = text.substr(text.size() - 2 - state_bytes, state_bytes);
    result.tensors = SafeTensors::read(fmt::format("{}/{}", folder, tensors_name));
    const FileStamp stamp = result.tensors.stamp();
    NASCENT_CHECK(static_cast<std::int64_t>(stamp.bytes) == integer(head, "tensors_bytes", path) &&
                      crc_text(stamp.crc32) == head["tensors_crc32"].get<std::string>(),
                  checkpoint, "{}: damaged, {} says {} bytes with checksum {}", result.tensors.path(), state_name,
                  integer(head, "tensors_bytes", path), head["tensors_crc32"].get<std::string>());
    return result;
}

void CheckpointStore::put_aside(std::int64_t step) const {
    const std::string name = fmt::format("{}/damaged-{}{:09}", folder_, step_prefix, step);
    std::string aside = name;
    for (int i = 2; fs::exists(aside); i++) aside = fmt::format("{}-{}", name, i);
    std::error_code ignored;
    fs::rename(path_of(step), aside, ignored);
}

std::optional<Checkpoint> CheckpointStore::load_latest(const std::function<void(const std::string&)>& warn) {
    std::vector<std::int64_t> all = steps();
    if (all.empty()) return std::nullopt;
    std::string first_reason;
    std::vector<std::int64_t> damaged;
    for (; !all.empty(); all.pop_back()) {
        try {
            Checkpoint found = load(all.back());
            // Only now: where none is whole all stay, or the next try would find a run that has not begun.
            for (std::int64_t step : damaged) put_aside(step);
            return found;
        } catch (const Error& e) {
            if (first_reason.empty()) first_reason = e.what();
            warn(fmt::format("{}; falling back to an older checkpoint", e.what()));
            damaged.push_back(all.back());
        }
    }
    fail(ErrorKind::checkpoint, "{}: no checkpoint is whole; the newest: {}", folder_, first_reason);
}

}  // namespace nascent
