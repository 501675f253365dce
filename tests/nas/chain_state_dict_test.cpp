// Networks of chains in files, by the names of the original modules.
#include "nas/supernet/chain_state_dict.h"

#include <doctest/doctest.h>

#include "tests/nas/chain_networks.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using namespace nascent::testing;
using namespace nascent::test;

TEST_CASE("state dicts of chains go through files, and foreign ones are refused") {
    const auto device = make_device("cpu");
    for (const char* name : {"shufflenet", "mobilenet-mmrazor"}) {
        CAPTURE(name);
        const chain::Space space = small_space(name);
        ChainNet net(*device, DType::f32, chain::supernet(space)), other(*device, DType::f32, chain::supernet(space));
        fill_chain(net, 6);
        {
            Arena arena(*device);
            ExecutionScope execution(arena);
            net.forward(chain_pictures(2, 32, DType::f32), random_path(space, 0), {});
        }
        TemporaryFolder folder;
        const std::string path = folder / "net.safetensors";
        state_dict(net).write(path, DType::f32, {});
        StateDict state = StateDict::read(path);
        const auto entries = chain::state_entries(net.net().layers);
        CHECK(state.entries().size() == entries.size());
        for (const chain::StateEntry& e : entries) REQUIRE(state.at(e.name).shape == e.shape);
        load(other, state, path);
        for (const Parameter& p : net.store().parameters()) REQUIRE(other.get(p.name) == net.get(p.name));
        for (const Buffer& b : net.store().buffers()) REQUIRE(other.get(b.name) == net.get(b.name));
        for (std::size_t i = 0; i < net.batch_counts().size(); i++)
            REQUIRE(other.batch_counts()[i].count == net.batch_counts()[i].count);
        // As DataParallel writes it.
        StateDict parallel;
        for (const auto& [key, entry] : state.entries()) parallel.set("module." + key, entry);
        load(other, parallel, path);
        const std::string some = entries[0].name;
        StateDict wrong = state;
        wrong.set(some, {{3}, {1, 2, 3}});
        CHECK_THROWS_WITH(load(other, wrong, path), doctest::Contains(some.c_str()));
        wrong = state;
        wrong.set("what.weight", {{1}, {1}});
        CHECK_THROWS_WITH(load(other, wrong, path), doctest::Contains("what.weight"));
        ChainNet foreign(*device, DType::f32, chain::supernet(small_space("mobilenet-fairnas")));
        CHECK_THROWS_WITH(load(foreign, state, path), doctest::Contains("mobilenet-fairnas"));
    }
}
