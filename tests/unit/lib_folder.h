/* SPDX-License-Identifier: ISC */
#ifndef KV_LIB_FOLDER_H
#define KV_LIB_FOLDER_H

/* A store's folder of one's own for each test of libkv. */

#include <kv.h>

#define B kv_text("shopping")

int lib_folder_set_up(void **state);
int lib_folder_tear_down(void **state);

const char *lib_folder_dir(void);
const struct kv_options *lib_folder_options(void);
struct kv *lib_folder_open(void);
struct kv *lib_folder_open_bucket(void); /* with bucket B */

void lib_folder_put(struct kv *kv, const char *key, const char *value);
void lib_folder_assert_value(struct kv *kv, const char *key, const char *value);
void lib_folder_assert_absent(struct kv *kv, const char *key);

/* LMDB allows one environment a process, so others are children. */
void lib_folder_in_child(void (*what)(struct kv *kv, int number), int number);

/* For it: milk becomes 2. */
void lib_folder_change_milk(struct kv *kv, int number);

#endif
