// What each of spos's commands does, once the command line is understood.
#pragma once
#include <string>

namespace nascent::spos {

struct CostRequest {
    std::string arch;  // an architecture, the name of a published one, or the path of a file with one
    std::string space = "shufflenet";
    int size = 0, classes = 0;  // 0: ImageNet's
};
/// Parameters and multiply-accumulates in every convention, as JSON.
void cost(const CostRequest& request);
struct PackRequest {
    std::string root, out;
    int side = 256;
    std::string geometry = "shorter-side";  // shorter-side | square | original
    std::string resize = "pillow";          // pillow | opencv
    bool orientation = false, skip_corrupt = false;
    int threads = 0;  // 0: all
};
/// Writes OUT/train.pack and OUT/val.pack of the class folders in ROOT, or keeps what is there already; a JSON object
/// per pack.
void pack(const PackRequest& request);
struct LatencyCommand {
    std::string space = "shufflenet";
    int size = 0, classes = 0;  // 0: ImageNet's
    int batch = 1, warmup = 3, repeats = 20, threads = 0;
    std::string device = "cpu", dtype = "float32", out;  // out empty: stdout
};
/// Measures every operator of every block on a device; a table for `search`.
void latency(const LatencyCommand& command);
/// The published architectures of a space, or of all where `space` is empty, with their costs: a JSON object a line.
void list(const std::string& space);

}  // namespace nascent::spos
