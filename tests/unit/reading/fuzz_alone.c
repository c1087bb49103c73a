/* SPDX-License-Identifier: MIT */
/* fuzz_alone.c - a fuzz target without a fuzzer: once for each file of a folder. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void run(const char *path)
{
    enum { MOST_BYTES = 1 << 20 };
    uint8_t *data = malloc(MOST_BYTES);
    FILE *file = fopen(path, "rbe");
    if (data == NULL || file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size_t bytes = fread(data, 1, MOST_BYTES, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, bytes);
    free(data);
}

int main(int argc, char **argv)
{
    const struct dirent *entry;
    int count = 0;
    DIR *folder = argc == 2 && chdir(argv[1]) == 0 ? opendir(".") : NULL;
    if (folder == NULL) {
        fprintf(stderr,
                "name a folder of inputs, such as tests/fuzz/corpus/reader\n");
        return EXIT_FAILURE;
    }
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') {
            run(entry->d_name);
            count++;
        }
    closedir(folder);
    printf("%d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
