#include "engine/base/thread_pool.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/error.h"

using nascent::ThreadPool;

TEST_CASE("thread pool: every chunk runs once, with a worker number in range") {
    for (int threads : {1, 2, 4, 5}) {
        ThreadPool pool(threads);
        CHECK(pool.threads() == threads);
        for (int chunks : {0, 1, 2, 7, 1000}) {
            std::vector<std::atomic<int>> count(static_cast<std::size_t>(chunks) + 1);
            std::atomic<int> outside{0};
            pool.parallel(chunks, [&](int chunk, int worker) {
                count[static_cast<std::size_t>(chunk)]++;
                if (worker < 0 || worker >= threads) outside++;
            });
            for (int i = 0; i < chunks; i++) CHECK(count[static_cast<std::size_t>(i)] == 1);
            CHECK(outside == 0);
        }
    }
    CHECK(ThreadPool(0).threads() >= 1);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // both need more address space than this leaves
TEST_CASE("thread pool: more threads than the system gives are an error, and those that began end") {
    const pid_t child = fork();
    if (child == 0) {
        const rlimit limit{std::size_t{1} << 29, std::size_t{1} << 29};  // a thread's stack takes 8 MiB of it
        setrlimit(RLIMIT_AS, &limit);
        try {
            ThreadPool pool(4096);
        } catch (const nascent::Error& e) {
            _exit(e.exit_code());
        }
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 5);
}
#endif

TEST_CASE("thread pool: two chunks run at the same time") {
    // Each waits for the other: with one thread this would never end.
    ThreadPool pool(2);
    std::atomic<int> arrived{0};
    pool.parallel(2, [&](int, int) {
        arrived++;
        for (int seen = arrived; seen < 2; seen = arrived) std::this_thread::yield();
    });
    CHECK(arrived == 2);
}

TEST_CASE("thread pool: the caller sleeps until the last chunk is done, by whomever") {
    ThreadPool pool(2);
    for (int round = 0; round < 3; round++) {
        std::atomic<int> arrived{0};
        std::atomic<bool> done{false};
        pool.parallel(2, [&](int, int worker) {
            arrived++;
            for (int seen = arrived; seen < 2; seen = arrived) std::this_thread::yield();
            if (worker == 0) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the caller has nothing left to do
            done = true;
        });
        CHECK(done);
    }
}

TEST_CASE("thread pool: no more threads than it was asked for") {
    for (int threads : {1, 2}) {
        ThreadPool pool(threads);
        std::mutex lock;
        std::set<std::thread::id> ids;
        pool.parallel(50, [&](int, int) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough for others to take the next
            const std::lock_guard guard(lock);
            ids.insert(std::this_thread::get_id());
        });
        CHECK(ids.size() <= static_cast<std::size_t>(threads));
        CHECK((threads > 1 || ids.contains(std::this_thread::get_id())));
    }
}

TEST_CASE("thread pool: one that ends right behind its first job") {
    for (int round = 0; round < 8000; round++) {
        ThreadPool pool(2);
        std::atomic<int> ran{0};
        pool.parallel(2, [&](int, int) { ran++; });
        REQUIRE(ran == 2);
    }
}

TEST_CASE("thread pool: results are visible to the caller, job after job") {
    ThreadPool pool(4);
    std::vector<long> partial(16);  // plain memory: the end of run() is what publishes it
    for (int job = 0; job < 5000; job++) {
        pool.parallel(16, [&](int chunk, int) { partial[static_cast<std::size_t>(chunk)] = job + chunk; });
        REQUIRE(std::accumulate(partial.begin(), partial.end(), 0L) == 16L * job + 120);
    }
}

TEST_CASE("thread pool: a worker that wakes late takes no chunk of another job") {
    ThreadPool pool(9);  // more than there are processors: most of them find their job done
    std::vector<int> taken(8);
    for (int job = 0; job < 20000; job++) {
        const int chunks = 2 + job % 7;
        std::fill(taken.begin(), taken.end(), 0);
        pool.parallel(chunks, [&, job](int chunk, int) { taken[static_cast<std::size_t>(chunk)] += job; });
        for (int i = 0; i < 8; i++) REQUIRE(taken[static_cast<std::size_t>(i)] == (i < chunks ? job : 0));
    }
}

TEST_CASE("thread pool: an exception comes out after all chunks ended, and the pool lives on") {
    for (int threads : {1, 2, 4}) {
        ThreadPool pool(threads);
        std::atomic<int> ran{0};
        CHECK_THROWS_WITH_AS(pool.parallel(50,
                                           [&](int chunk, int) {
                                               ran++;
                                               if (chunk == 20) throw std::runtime_error("chunk 20");
                                           }),
                             "chunk 20", std::runtime_error);
        CHECK(ran == 50);
        CHECK_THROWS_AS(pool.parallel(50, [](int, int) { throw std::logic_error("all"); }), std::logic_error);
        int sum = 0;
        pool.parallel(1, [&](int, int) { sum++; });
        CHECK(sum == 1);
    }
}

TEST_CASE("thread pool: callers from several threads take turns") {
    ThreadPool pool(2);
    std::atomic<int> total{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; c++) {
        callers.emplace_back([&] {
            for (int i = 0; i < 200; i++) pool.parallel(3, [&](int, int) { total++; });
        });
    }
    for (std::thread& t : callers) t.join();
    CHECK(total == 4 * 200 * 3);
}
