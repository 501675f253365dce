// fuzz_seeds DIR: writes DIR/HARNESS/* for every harness.
#include <archive.h>
#include <archive_entry.h>
#include <jpeglib.h>
#include <png.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "engine/io/safetensors.h"
#include "nas/algo/evolution_json.h"
#include "nas/algo/rlnas_config.h"
#include "nas/data/pack_write.h"
#include "nas/space/chain_published.h"
#include "nas/space/darts_genotypes.h"
#include "nas/space/nasbench201.h"

using namespace nascent;

namespace {

std::string folder;

std::string place(const std::string& harness, const std::string& name) {
    std::filesystem::create_directories(folder + "/" + harness);
    return folder + "/" + harness + "/" + name;
}

void put(const std::string& harness, const std::string& name, const std::string& bytes) {
    std::ofstream(place(harness, name), std::ios::binary | std::ios::trunc) << bytes;
}

std::string jpeg(int components, J_COLOR_SPACE space) {
    jpeg_compress_struct c{};
    jpeg_error_mgr errors;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    unsigned char* out = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&c, &out, &size);
    c.image_width = c.image_height = 8;
    c.input_components = components;
    c.in_color_space = space;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    std::vector<unsigned char> row(static_cast<std::size_t>(8 * components), 90);
    unsigned char* rows[] = {row.data()};
    while (c.next_scanline < c.image_height) jpeg_write_scanlines(&c, rows, 1);
    jpeg_finish_compress(&c);
    std::string bytes(reinterpret_cast<char*>(out), size);
    jpeg_destroy_compress(&c);
    free(out);
    return bytes;
}

std::string png(png_uint_32 format) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = image.height = 4;
    image.format = format;
    std::vector<unsigned char> pixels(PNG_IMAGE_SIZE(image), 70);
    png_alloc_size_t size = 0;
    png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
    std::string bytes(size, 0);
    png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr);
    return bytes;
}

std::string tar_gz(const std::vector<std::pair<std::string, std::string>>& files) {
    std::string bytes(1 << 20, 0);
    std::size_t used = 0;
    archive* a = archive_write_new();
    archive_write_add_filter_gzip(a);
    archive_write_set_format_ustar(a);
    archive_write_open_memory(a, bytes.data(), bytes.size(), &used);
    for (const auto& [name, content] : files) {
        archive_entry* e = archive_entry_new();
        archive_entry_set_pathname(e, name.c_str());
        archive_entry_set_size(e, static_cast<la_int64_t>(content.size()));
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_write_header(a, e);
        archive_write_data(a, content.data(), content.size());
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    bytes.resize(used);
    return bytes;
}

/// A literal with its zeros.
template <std::size_t N>
std::string bytes(const char (&literal)[N]) {
    return {literal, N - 1};
}

/// Python's protocol 2 for {'data': array(n x 768, uint8), 'labels': [...]}, as NumPy writes it.
std::string pickle(int n) {
    auto text = [](const std::string& s) {
        return "X" + std::string(1, static_cast<char>(s.size())) + std::string(3, '\0') + s;
    };
    auto small = [](int v) { return "K" + std::string(1, static_cast<char>(v)); };
    std::string p = bytes("\x80\x02}(") + text("data") + "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n";
    p += small(0) + "\x85U\x01" + "b\x87R(" + small(1) + small(n) + bytes("M\x00\x03\x86");
    p += "cnumpy\ndtype\nU\x02u1" + small(0) + small(1) + "\x87R(" + small(3) + "U\x01|NNN";
    p += "J\xff\xff\xff\xffJ\xff\xff\xff\xff" + small(0) + "tb\x89";
    const auto size = static_cast<std::uint32_t>(n * 768);
    p += "T" + std::string(reinterpret_cast<const char*>(&size), 4) + std::string(size, '@') + "tb";
    p += text("labels") + "](";
    for (int i = 0; i < n; i++) p += small(i + 1);
    return p + "eu.";
}

/// A pack of n pictures in two classes.
std::string pack(int n) {
    const std::string root = folder + "/pack_source";
    for (int i = 0; i < n; i++) {
        const std::string name = root + (i % 2 == 0 ? "/a" : "/b") + "/" + std::to_string(i) + ".png";
        std::filesystem::create_directories(std::filesystem::path(name).parent_path());
        std::ofstream(name, std::ios::binary | std::ios::trunc) << (i == 4 ? "no picture" : png(PNG_FORMAT_RGB));
    }
    PackOptions options;
    options.settings.geometry = PackGeometry::square;
    options.settings.side = 3;
    options.skip_corrupt = true;
    options.threads = 1;
    write_pack(list_class_folders(root), root + ".bin", options);
    std::ifstream in(root + ".bin", std::ios::binary);
    std::string all(std::istreambuf_iterator<char>(in), {});
    std::filesystem::remove_all(root);
    std::filesystem::remove(root + ".bin");
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    folder = argv[1];
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    const std::vector<std::int64_t> integers{7};
    std::filesystem::create_directories(folder + "/safetensors");
    write_safetensors(place("safetensors", "two"),
                      {safe_tensor("a.weight", {2, 3}, std::span(values)), safe_tensor("n", {}, std::span(integers))},
                      {{"k", "v"}});
    put("pickle", "one", pickle(1));
    put("csv", "rows",
        "index,arch,cifar10_test_200\n" + std::to_string(0) + "," + nb201::to_string(nb201::from_official_index(0)) +
            ",85.86\n1,\"" + nb201::to_string(nb201::from_official_index(1)) + "\",93.66\n");
    for (int i : {0, 11472, 15624})
        put("architecture", std::to_string(i), nb201::to_string(nb201::from_official_index(i)));
    put("architecture", "tuple", "(1,0,4,4,2,2)");
    put("architecture", "index", "#123");
    put("architecture", "sparse", "|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|");
    for (const chain::Published& p : chain::published_architectures()) {
        put("architecture", std::string(p.name), std::string(p.text));
        const chain::Space space = chain::space(p.space);
        if (!space.channels)
            put("architecture", std::string(p.name) + ".yaml",
                chain::to_yaml(space, chain::parse_architecture(space, p.text)));
    }
    put("architecture", "name", "arch_README");
    put("architecture", "old.yaml",
        "stage_1_block_0:\n  chosen:\n  - shuffle_7x7\n# one\nstage_1_block_1: {chosen: [x]}");
    for (const darts::Published& p : darts::published_cells()) {
        if (p.family == darts::Family::nasbench201) continue;
        put("genotype", std::string(p.name) + (p.family == darts::Family::recurrent ? "_rnn" : ""),
            std::string(p.text));
    }
    put("genotype", "name", "DARTS_V2");
    put("genotype", "bare",
        "normal: [[['none', 0], [\"none\", 1,]]],\n normal_concat=[2],<br>reduce=[(none, 0), (none, 1)], "
        "reduce_concat=list(range(2, 3)),");
    RlnasConfig config;
    put("toml", "defaults", rlnas_options(config).to_toml());
    put("toml", "short", "[train]\nepochs = 3\nlr = 0.1\n[run]\nout = \"x\"\n");
    put("picture", "rgb.jpg", jpeg(3, JCS_RGB));
    put("picture", "grey.jpg", jpeg(1, JCS_GRAYSCALE));
    put("picture", "cmyk.jpg", jpeg(4, JCS_CMYK));
    put("picture", "rgb.png", png(PNG_FORMAT_RGB));
    for (const auto& [name, file] : {std::pair("rgb.jpg", jpeg(3, JCS_RGB)), std::pair("cmyk.jpg", jpeg(4, JCS_CMYK)),
                                     std::pair("rgb.png", png(PNG_FORMAT_RGB))}) {
        put("region", std::string("whole_") + name, bytes("\0\0\xff\xff\0\0") + file);
        put("region", std::string("part_") + name, bytes("\x40\x40\x40\x40\0\x10") + file);
        // After the first two bytes an EXIF segment that turns the picture.
        const std::string exif = bytes(
            "\xff\xe1\0\x22"
            "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        put("region", std::string("turned_") + name,
            bytes("\x40\x40\x40\x40\x01\0") + file.substr(0, 2) + exif + file.substr(2));
    }
    put("pack", "two", "\x01" + pack(2));
    put("pack", "five", "\x01" + pack(5));
    put("pack", "unsealed", bytes("\0") + pack(3));
    put("picture", "grey.png", png(PNG_FORMAT_GRAY));
    put("picture", "deep.png", png(PNG_FORMAT_LINEAR_RGB_ALPHA));
    std::string record(3074, '\x21');
    record[0] = 3, record[1] = 5;
    put("cifar_bin", "two", "\x7f" + record + record);
    put("cifar_tar", "cifar100",
        tar_gz({{"cifar-100-binary/train.bin", record}, {"cifar-100-binary/test.bin", record}}));
    std::vector<std::pair<std::string, std::string>> ten;
    for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                             "data_batch_5.bin", "test_batch.bin"})
        ten.emplace_back(std::string("cifar-10-batches-bin/") + name, record.substr(1));
    put("cifar_tar", "cifar10", tar_gz(ten));
    EvolutionConfig small;
    small.population = small.select = 10, small.mutation = small.crossover = 4, small.generations = 3,
    small.patience = 1000;
    const Nb201Genes genes;
    Evolution evolution(genes, small, NumpyRandom(1));
    put("search_state", "start", evolution_to_json(evolution.state()));
    evolution.step([](const auto& all) { return std::vector<double>(all.size(), 0.5); });
    put("search_state", "one", evolution_to_json(evolution.state()));
    return 0;
}
