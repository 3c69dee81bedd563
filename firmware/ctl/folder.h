/* SPDX-License-Identifier: BSD-3-Clause */
/* A temporary folder for the files of one boot. */
#ifndef FIRMWARE_CTL_FOLDER_H
#define FIRMWARE_CTL_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Short enough that sockets in it have a valid path.  False: said why. */
bool ctl_folder_create(char *path, size_t size);
/* With all that is in it. */
void ctl_folder_remove(const char *path);
/* False: said why. */
bool ctl_copy_file(const char *from, const char *to);

#endif
