// Checkpoints of a run: ckpt/step-000048210/{state.safetensors,state.json}, each folder complete or absent.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"

namespace nascent {

struct Checkpoint {
    std::int64_t step = 0;
    std::int64_t journal_size = 0;  // records in events.jsonl when it was written
    SafeTensors tensors;
    std::string state;  // the JSON text given to save()
};

class CheckpointStore {
  public:
    /// `folder` exists. Leftovers of a process that died while writing are removed.
    explicit CheckpointStore(std::string folder);

    /// Writes a checkpoint under a temporary name, makes it durable and renames it; one of the same step is replaced.
    /// `state` is JSON text with everything that is no tensor (cursors, population, ...). Then removes all but the
    /// newest `keep` and step 0. Error of kind runtime (disk full, ...): the checkpoints there were are untouched.
    void save(std::int64_t step, std::int64_t journal_size, const std::vector<SafeTensor>& tensors,
              const std::string& state);

    /// Steps of the checkpoint folders, ascending; not verified.
    std::vector<std::int64_t> steps() const;
    /// Reads one and verifies length, CRC and structure of both files. Error of kind checkpoint if anything is wrong.
    Checkpoint load(std::int64_t step) const;
    /// The newest that is whole. Damaged newer ones are renamed to "damaged-step-..." and reported through `warn`.
    /// Nothing if there is none; an Error of kind checkpoint if there are some and all are damaged, which
    /// then keep their names.
    std::optional<Checkpoint> load_latest(const std::function<void(const std::string&)>& warn);
    std::string path_of(std::int64_t step) const;

    static constexpr int keep = 2;

  private:
    void prune() const;
    void put_aside(std::int64_t step) const;
    std::string folder_;
};

}  // namespace nascent
