/* SPDX-License-Identifier: ISC */

/* The same keys without a server: libkv on the store's folder. */

#include "embedded.h"

#include <kv.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DATABASE "db0"
#define READS_PER_LOOK 64 /* at the clock */

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t
own_cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
	    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

static int
read_turn(struct kv *kv, struct chance *c, const struct options *o,
    struct outcome *out)
{
	char key[WORK_KEY_DIGITS];
	struct kv_slice value;
	unsigned i, n = o->depth > READS_PER_LOOK ? o->depth : READS_PER_LOOK;
	int rc;

	if ((rc = kv_begin(kv)) < 0)
		return rc;
	for (i = 0; i < n && rc == KV_OK; i++) {
		work_put_key(key, chance_below(c, o->keys));
		rc = kv_get(kv, kv_text(DATABASE), kv_bytes(key, sizeof(key)),
		    &value);
		if (rc == KV_ENOTFOUND) {
			out->errors++;
			rc = KV_OK;
		}
	}
	kv_end(kv);
	out->requests += n;
	out->measured += n;
	return rc;
}

int
embedded_run(const struct options *o, struct outcome *out)
{
	static const struct kv_options must = { .must_exist = true };
	uint64_t began, cpu, now, before;
	struct chance c;
	struct kv *kv;
	int rc;

	memset(out, 0, sizeof(*out));
	chance_seed(&c, o->seed);
	if ((rc = kv_open(o->dir, &must, &kv)) < 0) {
		fprintf(stderr, "kv-bench: %s: %s\n", o->dir, kv_error(rc));
		return -1;
	}
	cpu = own_cpu_ns();
	began = now = now_ns();
	while (rc == KV_OK && (double)(now - began) < o->seconds * 1e9) {
		uint64_t reads = out->requests;

		before = now;
		rc = read_turn(kv, &c, o, out);
		now = now_ns();
		reads = out->requests - reads;
		if (reads > 0)
			hist_add(&out->latency, (now - before) / reads, reads);
	}
	out->seconds = (double)(now - began) / 1e9;
	out->cpu_ns = own_cpu_ns() - cpu;
	if (out->errors > 0)
		snprintf(out->error, sizeof(out->error), "no such key");
	if (rc < 0)
		fprintf(stderr, "kv-bench: get: %s\n", kv_error(rc));
	kv_close(kv);
	return rc < 0 ? -1 : 0;
}
