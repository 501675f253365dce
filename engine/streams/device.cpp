#include "engine/streams/device.h"

#include <exception>

#include "engine/base/error.h"

namespace nascent {

void Device::poison(void*, std::size_t, bool) {}
void Device::begin_capture() { fail(ErrorKind::runtime, "device {} captures nothing", name()); }
std::unique_ptr<Graph> Device::end_capture() { fail(ErrorKind::runtime, "device {} captures nothing", name()); }
void* Device::allocate_host(std::size_t) { fail(ErrorKind::runtime, "device {} has no transfers", name()); }
void Device::free_host(void*) {}
std::unique_ptr<TransferStream> Device::make_transfer_stream() {
    fail(ErrorKind::runtime, "device {} has no transfers", name());
}
void Device::wait(const Event&) { fail(ErrorKind::runtime, "device {} has no events", name()); }
std::unique_ptr<Event> Device::record() { fail(ErrorKind::runtime, "device {} has no events", name()); }

CaptureScope::~CaptureScope() {
    if (ended_) return;
    try {
        device_.end_capture();
    } catch (const std::exception&) {  // what broke the capture is on its way already
    }
}
std::unique_ptr<Graph> CaptureScope::end() {
    ended_ = true;
    return device_.end_capture();
}

}  // namespace nascent
