// Steps of a search by gradients as one launch each: the bits of steps that are not captured, whatever kind of step
// comes when, and after a resume.
#include <doctest/doctest.h>

#include <cstring>
#include <optional>

#include "nas/algo/bilevel.h"
#include "nas/algo/search_pictures.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/training_state.h"
#include "tests/gpu_device.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {

SearchConfig small(const char* name) {
    SearchConfig c = preset(name);
    c.train.batch = 2;
    c.net.channels = c.net.partial > 1 ? 4 : 2;
    c.net.layers = 3;
    c.net.cells = 1;
    c.data.size = 8;
    c.arch.begin = 0;
    return c;
}

bool emulated(const Device& device) { return device.name().find("emulated") != std::string::npos; }

enum class As { eager, calls, whole };  // not captured, call by call, step by step

/// A search of one preset on a gpu of its own.
struct Search {
    SearchConfig config;
    Pictured pictures;
    std::unique_ptr<Device> device = testing::gpu_device();
    std::unique_ptr<SearchNet> net;
    std::optional<BilevelTrainer> trainer;
    double sum = 0;  // of all that steps returned

    Search(const SearchConfig& c, As as) : config(c), pictures(config) {
        if (!device) return;
        net = space_of(config).make_net(*device, DType::f32, settings_of(config, 10, 8));
        initialise(net->store(), 1);
        BilevelTraining t = training_of(config);
        t.capture = as != As::eager;
        t.capture_whole = as == As::whole;
        trainer.emplace(*net, pictures.train(config), pictures.alpha(config), t);
    }
    std::vector<Nb201Supernet::BatchCount>* counts() {
        auto* nb201 = dynamic_cast<Nb201Supernet*>(net.get());
        return nb201 ? &nb201->batch_counts() : nullptr;
    }
    /// Launches of the step.
    std::int64_t step(bool move_alphas = true) {
        const std::int64_t before = device->launches();
        const BilevelTrainer::Step s = trainer->step(move_alphas);
        sum = 3 * sum + s.score.mean_loss() + s.arch_loss + s.gradient_norm + static_cast<double>(s.score.top5);
        return device->launches() - before;
    }
    TrainingState state() {
        return TrainingState::of(net->store(), trainer->optimizer(), counts(), &trainer->arch_optimizer());
    }
    std::string bytes() {
        const TrainingState kept = state();
        std::string all;
        for (const SafeTensor& t : kept.tensors()) {
            all += t.name;
            all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
        }
        for (const std::int64_t* count : net->counters()) all += std::to_string(*count) + ' ';
        return all;
    }
};

}  // namespace

TEST_CASE("steps that are one launch have the bits of steps that are not captured") {
    for (const char* name : {"smoke/nb201-1st", "smoke/drnas", "smoke/snas"}) {
        CAPTURE(name);
        Search whole(small(name), As::whole), eager(small(name), As::eager);
        if (!whole.device) return;
        CHECK(whole.trainer->not_whole() == "");
        CHECK(eager.trainer->not_whole() == "captures of whole steps are off");
        for (int i = 0; i < 4; i++) {
            // Without the alphas it is another graph. The third step is captured, the fourth replayed.
            const std::int64_t launches = whole.step(i != 1);
            eager.step(i != 1);
            if (emulated(*whole.device)) CHECK((launches == 1) == (i >= 2));
        }
        CHECK(whole.trainer->replayed_steps() == 1);
        CHECK(whole.sum == eager.sum);
        CHECK(whole.bytes() == eager.bytes());
        CHECK(whole.trainer->resident_bytes() > 0);
        // Held-out batches that the device cuts from its pictures are those of the loader.
        const BatchSource valid = whole.pictures.valid(whole.config);
        Arena arena(*whole.device);
        const Score there = whole.trainer->evaluate_candidate(valid, 1),
                    here = evaluate(
                        *whole.net, arena, valid, 1, 1, [] { return false; }, Pass::selection);
        CHECK(there.pictures == 2);
        CHECK(there.loss == here.loss);
        CHECK(there.top5 == here.top5);
    }
}

TEST_CASE("second order's steps that are one launch have the bits of steps that are not captured") {
    for (const char* twin : {"on", "off"}) {
        SearchConfig c = small("smoke/nb201-2nd");
        c.arch.twin = twin;
        Search whole(c, As::whole), eager(c, As::eager);
        if (!whole.device) return;
        for (int i = 0; i < 3; i++) {
            whole.step();
            eager.step();
        }
        CHECK(whole.trainer->replayed_steps() == 1);
        CHECK(whole.sum == eager.sum);
        CHECK(whole.bytes() == eager.bytes());
    }
}

TEST_CASE("a search goes on from a state as if it had not stopped, in whole steps") {
    Search straight(small("smoke/nb201-1st"), As::whole), first(small("smoke/nb201-1st"), As::whole);
    if (!straight.device) return;
    for (int i = 0; i < 6; i++) straight.step();
    for (int i = 0; i < 3; i++) first.step();  // the third is replayed
    test::TemporaryFolder folder;
    const std::string path = folder / "state.safetensors";
    write_safetensors(path, first.state().tensors());
    Search then(small("smoke/nb201-1st"), As::whole);
    TrainingState::restore(SafeTensors::read(path), then.net->store(), then.trainer->optimizer(), then.counts(),
                           &then.trainer->arch_optimizer());
    for (int i = 0; i < 3; i++) then.step();
    CHECK(then.trainer->step_number() == 6);
    CHECK(then.bytes() == straight.bytes());
}

TEST_CASE("why a step is not launched as a whole is said, and calls are captured where they come again") {
    for (auto [name, why] : {std::pair{"smoke/gdas", "the host chooses the operators that a forward computes"},
                             {"smoke/rsps", "the host chooses the operators that a forward computes"},
                             {"smoke/pcdarts-imagenet", "channels are shuffled in an order of each forward"}}) {
        SearchConfig c = small(name);
        if (std::string(name) == "smoke/pcdarts-imagenet") {  // of the algorithm alone
            c = small("smoke/pcdarts");
            c.net.random_order = true;
        }
        Search search(c, As::whole);
        if (!search.device) return;
        CHECK(search.trainer->not_whole() == why);
        CHECK(search.trainer->replayed_steps() == 0);
    }
    Search calls(small("smoke/nb201-1st"), As::calls);
    CHECK(calls.trainer->not_whole() == "captures of whole steps are off");
}

TEST_CASE("a whole step of the search networks: kernels, fills and copies in its one launch") {
    struct Want {
        const char* name;
        int layers, cells;
        std::size_t nodes;
    };
    for (const Want& w : {Want{"smoke/nb201-1st", 0, 5, 1010}, {"smoke/darts-1st", 8, 0, 568}}) {
        SearchConfig c = small(w.name);
        c.net.layers = w.layers;
        c.net.cells = w.cells;
        Search search(c, As::whole);
        if (!search.device) return;
        search.step();
        const std::int64_t last = search.step();  // captured
        if (emulated(*search.device)) CHECK(last == 1);
        MESSAGE(std::string(w.name), ": ", search.trainer->replayed_nodes(), " in one launch");
        if (testing::counts_nodes(*search.device))
            CHECK(search.trainer->replayed_nodes() == w.nodes);
        else
            CHECK(search.trainer->replayed_nodes() > 100);
    }
}
