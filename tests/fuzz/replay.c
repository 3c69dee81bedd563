/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Without libFuzzer a target is an ordinary program: it takes each file named,
 * and each file in a folder named, through the target once.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/input.h"

#define INPUT_ROOM (1024u * 1024)

static int replay_file(const char *path)
{
	uint8_t *bytes = malloc(INPUT_ROOM), *exact;
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file || !bytes) {
		perror(path);
		free(bytes);
		return -1;
	}
	size = fread(bytes, 1, INPUT_ROOM, file);
	(void)fclose(file);
	/* As large as the input and no larger: a read past it is seen. */
	exact = malloc(size ? size : 1);
	if (exact) {
		memcpy(exact, bytes, size);
		(void)LLVMFuzzerTestOneInput(exact, size);
	}
	free(exact);
	free(bytes);
	return 1;
}

static int replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char name[4096];
	int count = 0;

	if (!folder)
		return replay_file(path);
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		if (replay_file(name) < 0)
			count = -1;
		if (count < 0)
			break;
		count++;
	}
	(void)closedir(folder);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0, count;

	for (int i = 1; i < argc; i++) {
		count = replay_folder(argv[i]);
		if (count < 0)
			return EXIT_FAILURE;
		total += count;
	}
	(void)printf("%d inputs replayed\n", total);
	/* A corpus that got lost is no success. */
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
