# Included by CMake right after llama-cpp-python's project(): leaves out llama.cpp's "common"
# library, which serves llama.cpp's own programs and is not part of the Python package.
set(LLAMA_BUILD_COMMON OFF)
