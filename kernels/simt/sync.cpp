// Barriers and warp collectives, and the messages that say which thread waits where.
#include "kernels/simt/engine.h"

namespace nascent::simt {

std::string text(const uint3& v) {
    return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}
std::string text(const Place& at) {
    const std::string path = at.file_name();
    return path.substr(path.rfind('/') + 1) + ":" + std::to_string(at.line());
}
std::string text(const Engine& e, int thread) {
    const Thread& t = e.threads[thread];
    const std::string who = "thread " + text(unfold(static_cast<std::size_t>(thread), blockDim));
    if (t.state == Thread::done) return who + " has returned";
    char mask[32] = "";
    if (t.stop.mask) std::snprintf(mask, sizeof(mask), " mask 0x%08x", t.stop.mask);
    return who + " is at " + text(t.stop.at) + " (" + t.stop.what + mask + ")";
}
bool same(const Stop& a, const Stop& b) {
    auto equal = [](const char* s, const char* t) { return s == t || std::strcmp(s, t) == 0; };
    return a.mask == b.mask && a.at.line() == b.at.line() && a.at.column() == b.at.column() && equal(a.what, b.what) &&
           equal(a.at.file_name(), b.at.file_name());
}

void sync_block(const Place& at) {
    Engine& e = engine();
    Thread& t = e.self();
    t.stop = {"__syncthreads", 0, at};
    e.progress++;
    if (e.arrived == 0) e.first = e.current;
    if (e.done || !same(t.stop, e.threads[e.first].stop)) {
        int other = e.first;
        for (int i = 0; i < e.count && e.done; i++)
            if (e.threads[i].state == Thread::done) other = i;
        fail(e, "divergent barrier: " + text(e, e.current) + ", " + text(e, other));
    }
    release(&e.tags->arrive);
    t.state = Thread::at_barrier;
    if (++e.arrived == e.count) {
        for (Thread& o : e.threads) o.state = Thread::ready;
        e.arrived = 0;
        acquire(&e.tags->arrive);
        release(&e.tags->depart);
    }
    yield(e);  // the last one too: who goes on first is for the order to say
    acquire(&e.tags->depart);
}

unsigned lane() { return static_cast<unsigned>(engine().current % 32); }

const Slot* exchange(unsigned mask, const void* value, std::size_t size, const char* what, const Place& at,
                     int source) {
    Engine& e = engine();
    Thread& t = e.self();
    const int warp = e.current / 32, base = 32 * warp, l = e.current % 32;
    Warp& w = e.warps[warp];
    if (e.count - base < 32)
        mask &= (1u << (e.count - base)) - 1;  // a full mask may name lanes that a short warp lacks
    t.stop = {what, mask, at};
    if (!(mask >> l & 1)) fail(e, "lane not in its own mask: " + text(e, e.current));
    if (source >= 0 && !(mask >> source & 1))
        fail(e, "lane " + std::to_string(source) + " is read but not in the mask: " + text(e, e.current));
    const int leader = std::countr_zero(mask);
    Warp::Group& g = w.groups[leader];
    if (g.arrived == 0) g.first = e.current;
    if (!same(t.stop, e.threads[g.first].stop))
        fail(e, "divergent collectives: " + text(e, e.current) + ", " + text(e, g.first));
    for (std::size_t i = 0; i < size; i++) w.brought[l].bytes[i] = static_cast<const char*>(value)[i];
    t.state = Thread::in_warp;
    e.progress++;
    release(&e.tags->warp_arrive[warp][leader]);
    g.arrived |= 1u << l;
    if (g.arrived == mask) {
        acquire(&e.tags->warp_arrive[warp][leader]);
        for (Warp::Found& f : w.found) f.holders &= ~mask;
        Warp::Found* found = w.found;
        while (found->holders) found++;
        found->holders = mask;
        for (int i = 0; i < 32; i++) {
            if (!(mask >> i & 1)) continue;
            found->slots[i] = w.brought[i];
            e.threads[base + i].found = found->slots;
            e.threads[base + i].state = Thread::ready;
            release(&e.tags->warp_depart[warp][i]);
        }
        g.arrived = 0;
    }
    yield(e);
    acquire(&e.tags->warp_depart[warp][l]);
    return t.found;
}

void fence() {
    if (!kRaces) return;
    const Untracked untracked;
    Engine& e = engine();
    Thread& t = e.self();
    for (Fenced* seen : t.seen) acquire(seen);
    t.seen.clear();
    release(t.fenced = &e.fences.emplace_back());
}

void note_atomic(const void* p) {
    if (!kRaces) return;
    const Untracked untracked;
    Engine& e = engine();
    Thread& t = e.self();
    std::vector<Fenced*>& all = e.atomics[p];
    t.seen.insert(t.seen.end(), all.begin(), all.end());
    if (t.fenced) all.push_back(t.fenced);
}

}  // namespace nascent::simt
