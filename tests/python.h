// The Python that has PyTorch, for comparisons with it.
#pragma once
#include <cstdlib>
#include <string>

namespace nascent::test {

/// A command that runs a Python 3 with torch and NumPy; empty where there is none.
inline std::string python_with_torch() {
    for (const char* python : {"/usr/bin/python3", "python3"})
        if (std::system((std::string(python) + " -c 'import torch, numpy' >/dev/null 2>&1").c_str()) == 0)
            return python;
    return {};
}

}  // namespace nascent::test
