// A CUDA of one device whose memory is the host's: what engine/streams/cuda_device.cpp calls of it, so that its
// bookkeeping is tested without a GPU. Streams do at once what they are asked for, captures record it. What CUDA would
// refuse is refused, and any call can be made to fail.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace nascent::fake_cuda {

struct State {
    int devices = 1;
    std::string name = "a fake";
    std::set<std::string> unknown;              // functions the driver does not have
    std::map<std::string, int> failures;        // by function: what its next call returns, and does nothing
    std::size_t memory = std::size_t{1} << 30;  // what the device has left
    std::int64_t wrong = 0;                     // calls that were refused without being told to fail

    // What was made and not given back yet.
    std::int64_t streams = 0, events = 0, graphs = 0, executables = 0, pinned = 0, reserved = 0, mapped = 0,
                 allocated = 0;
    std::int64_t held() const {
        return streams + events + graphs + executables + pinned + reserved + mapped + allocated;
    }
};

/// The one that all calls use.
State& state();
/// What a call of the function is to return now, 0 where it is to do its work; once.
int told(const char* function);

}  // namespace nascent::fake_cuda
