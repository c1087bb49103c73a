// SPDX-License-Identifier: MIT
// news.cc - new and delete in all forms, containers, exceptions, threads.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static void must(bool truth, const char *what)
{
    if (truth)
        return;
    std::fprintf(stderr, "not so: %s\n", what);
    std::exit(1);
}

struct alignas(256) Wide {
    char bytes[300];
};

struct Thrower {
    Thrower() { throw std::runtime_error("a constructor that throws"); }
    char bytes[1000];
};

static void forms()
{
    int *one = new int(1);
    int *many = new int[100]();
    int *quiet = new (std::nothrow) int;
    int *quiet_many = new (std::nothrow) int[10];
    Wide *wide = new Wide;
    Wide *wides = new Wide[3];
    Wide *quiet_wide = new (std::nothrow) Wide;
    for (Wide *w : {wide, wides, quiet_wide})
        must(reinterpret_cast<std::uintptr_t>(w) % 256 == 0, "new aligns");
    must(*one == 1 && many[99] == 0, "new initialises");
    delete one;
    delete[] many;
    ::operator delete(quiet, std::nothrow);
    ::operator delete[](quiet_many, std::nothrow);
    delete wide;
    delete[] wides;
    ::operator delete(quiet_wide, std::align_val_t(256));
    ::operator delete(::operator new(40), std::size_t(40));
    ::operator delete[](::operator new[](40), std::size_t(40));
    bool refused = false;
    volatile std::size_t much = PTRDIFF_MAX;
    try {
        ::operator delete(::operator new(much));
    } catch (const std::bad_alloc &) {
        refused = true;
    }
    must(refused, "new throws bad_alloc");
    must(::operator new(much, std::nothrow) == nullptr, "or returns nothing");
}

static void work()
{
    std::map<std::string, std::vector<std::unique_ptr<std::string>>> all;
    for (int i = 0; i < 30000; i++) {
        all["name " + std::to_string(i % 1000)].push_back(
            std::make_unique<std::string>(static_cast<std::size_t>(i % 300), 'x'));
        if (i % 7 == 0)
            all.erase("name " + std::to_string(i % 500));
        try {
            if (i % 1000 == 0)
                delete new Thrower;
        } catch (const std::runtime_error &) {
        }
    }
}

int main()
{
    forms();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back(work);
    for (auto &t : threads)
        t.join();
    std::puts("all is so");
}
