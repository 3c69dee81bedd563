/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a relying party does:  attest_check ROOT.pem DOCUMENT
 *
 *   cc attest_check.c $(pkg-config --cflags --libs nitro-attest)
 */
#include <nitro-attest.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM 32768u

static struct nitro_attest_bytes read_file(const char *path, uint8_t *room)
{
	struct nitro_attest_bytes bytes = { NULL, 0 };
	FILE *file = fopen(path, "rb");

	if (!file) {
		perror(path);
		return bytes;
	}
	bytes.size = fread(room, 1, ROOM, file);
	bytes.data = room;
	fclose(file);
	return bytes;
}

int main(int argc, char **argv)
{
	static uint8_t root[ROOM], document[ROOM];
	struct nitro_attest_expectation wanted = { 0 };
	struct nitro_attest_document said;
	struct nitro_attest_bytes bytes;
	enum nitro_attest_result result;

	if (argc != 3) {
		fprintf(stderr, "usage: attest_check ROOT.pem DOCUMENT\n");
		return 2;
	}
	wanted.root = read_file(argv[1], root);
	bytes = read_file(argv[2], document);
	if (!wanted.root.data || !bytes.data)
		return 2;
	result = nitro_attest_verify(bytes.data, bytes.size, &wanted, &said,
				     NULL);
	if (result) {
		printf("refused: %s (%s)\n", nitro_attest_sentence(result),
		       nitro_attest_rule(result));
		return 1;
	}
	printf("good: %.*s\n", (int)said.module_id.size,
	       (const char *)said.module_id.data);
	return 0;
}
