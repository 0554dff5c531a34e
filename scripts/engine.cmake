# How llama-cpp-python is built for paddock. CMake includes this file right after its project().

# Llama.cpp's "common" library serves llama.cpp's own programs. Warnings are for its developers.
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_ALL_WARNINGS OFF)

# One folder with one file per library: the package would else hold each of them six times.
set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)
set(CMAKE_INSTALL_BINDIR llama_cpp/lib)
set(CMAKE_INSTALL_LIBDIR llama_cpp/lib)
set(CMAKE_INSTALL_INCLUDEDIR llama_cpp/include)
if(APPLE)
    set(CMAKE_INSTALL_RPATH "@loader_path")
else()
    set(CMAKE_INSTALL_RPATH "$ORIGIN")
endif()

# The same source gives the same bytes: neither the folder nor a surrounding repository shows.
set(LLAMA_BUILD_NUMBER 0)
set(LLAMA_BUILD_COMMIT unknown)
# ccache gives the compiler relative paths, by CCACHE_BASEDIR.
file(RELATIVE_PATH paddock_source "${CMAKE_BINARY_DIR}" "${CMAKE_SOURCE_DIR}")
add_compile_options(
    "$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${paddock_source}=llama-cpp-python>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}=llama-cpp-python>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${CMAKE_BINARY_DIR}=build>"
)
# The linker's build ID is a hash of symbols too that are stripped later, whose names may be random.
if(NOT APPLE)
    add_link_options("LINKER:--build-id=none")
endif()

# Optimising costs most of the compile time. All that computes is in ggml, at -O3; what builds
# graphs, loads files and encodes media is called once per step, file or image.
function(paddock_reduce_compile_time)
    target_compile_options(llama PRIVATE $<$<CONFIG:Release>:-O2>)
    target_compile_options(mtmd PRIVATE $<$<CONFIG:Release>:-O1>)
    get_target_property(folder mtmd SOURCE_DIR)
    set_source_files_properties(${folder}/mtmd-audio.cpp ${folder}/mtmd-image.cpp
        TARGET_DIRECTORY mtmd PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
    # As llama.cpp does for its own models: their headers cost more than their code.
    get_target_property(sources mtmd SOURCES)
    list(FILTER sources EXCLUDE REGEX "^models/")
    list(TRANSFORM sources PREPEND ${folder}/)
    set_source_files_properties(${sources} TARGET_DIRECTORY mtmd
        PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
endfunction()
cmake_language(DEFER CALL paddock_reduce_compile_time)
