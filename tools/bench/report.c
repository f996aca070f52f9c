/* SPDX-License-Identifier: ISC */

/* A round is one sample; what is shown is the median of the samples, and from
 * where to where they went.  A ratio is taken within a round, then its median:
 * what disturbed the machine in one round disturbed both. */

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spread {
	double median, low, high;
};

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread
spread_of(const double *samples, unsigned n)
{
	double sorted[REPORT_ROUNDS_MAX];
	struct spread s = { 0, 0, 0 };

	if (n == 0)
		return s;
	memcpy(sorted, samples, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_size);
	s.low = sorted[0];
	s.high = sorted[n - 1];
	s.median = n % 2 == 1 ? sorted[n / 2]
			      : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	return s;
}

/* Of a to b, round by round; rounds in which one is unknown do not count. */
static struct spread
ratio_of(const struct report_series *a, const struct report_series *b,
    enum report_measure m)
{
	double ratios[REPORT_ROUNDS_MAX];
	unsigned i, n = 0;

	for (i = 0; i < a->count && i < b->count; i++)
		if (a->rounds[m][i] > 0 && b->rounds[m][i] > 0)
			ratios[n++] = a->rounds[m][i] / b->rounds[m][i];
	return spread_of(ratios, n);
}

void
report_add(struct report_series *s, const struct outcome *o)
{
	double *at[REPORT_MEASURES];
	int m;

	if (s->count == REPORT_ROUNDS_MAX)
		return;
	for (m = 0; m < REPORT_MEASURES; m++)
		at[m] = &s->rounds[m][s->count];
	*at[REPORT_RATE] = (double)o->measured / o->seconds;
	*at[REPORT_CPU_US] = o->requests == 0
	    ? 0
	    : (double)o->cpu_ns / 1e3 / (double)o->requests;
	*at[REPORT_P50_US] = (double)hist_at(&o->latency, 0.5) / 1e3;
	*at[REPORT_P99_US] = (double)hist_at(&o->latency, 0.99) / 1e3;
	*at[REPORT_P999_US] = (double)hist_at(&o->latency, 0.999) / 1e3;
	*at[REPORT_MAX_US] = (double)o->latency.max / 1e3;
	s->count++;
	if (o->errors > 0 && s->errors == 0)
		memcpy(s->error, o->error, sizeof(s->error));
	s->errors += o->errors;
}

/* ---- for people ---- */

static void
print_spread(const char *label, struct spread s, int digits)
{
	printf("  %s %.*f", label, digits, s.median);
	if (s.high > s.low)
		printf(" (%.*f-%.*f)", digits, s.low, digits, s.high);
}

static void
print_series(const struct report_series *s)
{
	struct spread cpu = spread_of(s->rounds[REPORT_CPU_US], s->count);

	printf("  %-10s", s->target->name);
	print_spread("req/s", spread_of(s->rounds[REPORT_RATE], s->count), 0);
	if (cpu.median > 0)
		print_spread("cpu us/req", cpu, 2);
	print_spread("p50 us", spread_of(s->rounds[REPORT_P50_US], s->count),
	    0);
	print_spread("p99", spread_of(s->rounds[REPORT_P99_US], s->count), 0);
	print_spread("p99.9", spread_of(s->rounds[REPORT_P999_US], s->count),
	    0);
	print_spread("max", spread_of(s->rounds[REPORT_MAX_US], s->count), 0);
	putchar('\n');
	if (s->errors > 0)
		printf("  %-10s  %llu errors, the first: %s\n", s->target->name,
		    (unsigned long long)s->errors, s->error);
}

static void
print_ratio(const struct report_series *a, const struct report_series *b)
{
	printf("  %s / %s:", a->target->name, b->target->name);
	print_spread("rate", ratio_of(a, b, REPORT_RATE), 2);
	if (spread_of(a->rounds[REPORT_CPU_US], a->count).median > 0)
		print_spread("cpu", ratio_of(a, b, REPORT_CPU_US), 2);
	print_spread("p50", ratio_of(a, b, REPORT_P50_US), 2);
	print_spread("p99", ratio_of(a, b, REPORT_P99_US), 2);
	putchar('\n');
}

void
report_print(const struct report_test *t)
{
	unsigned i;

	printf("%s, %u connections, pipeline %u", t->name, t->connections,
	    t->depth);
	if (t->background != NULL)
		printf(", while %u do %s", t->background_connections,
		    t->background);
	putchar('\n');
	for (i = 0; i < t->series_count; i++)
		print_series(&t->series[i]);
	for (i = 1; i < t->series_count; i++)
		print_ratio(&t->series[0], &t->series[i]);
	fflush(stdout);
}

/* ---- JSON (RFC 8259) ---- */

static const char *const measure_names[] = {
	[REPORT_RATE] = "rate",
	[REPORT_CPU_US] = "cpu_us",
	[REPORT_P50_US] = "p50_us",
	[REPORT_P99_US] = "p99_us",
	[REPORT_P999_US] = "p999_us",
	[REPORT_MAX_US] = "max_us",
};

static void
json_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c >= 0x7f)
			printf("\\u%04x", c);
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void
json_spread(const char *name, struct spread s)
{
	printf("\"%s\":{\"median\":%.4f,\"low\":%.4f,\"high\":%.4f}", name,
	    s.median, s.low, s.high);
}

static void
json_series(const struct report_series *s)
{
	int m;

	fputs("{\"name\":", stdout);
	json_text(s->target->name);
	for (m = 0; m < REPORT_MEASURES; m++) {
		putchar(',');
		json_spread(measure_names[m],
		    spread_of(s->rounds[m], s->count));
	}
	printf(",\"errors\":%llu,\"error\":", (unsigned long long)s->errors);
	json_text(s->error);
	putchar('}');
}

static void
json_ratio(const struct report_series *a, const struct report_series *b)
{
	int m;

	fputs("{\"of\":", stdout);
	json_text(a->target->name);
	fputs(",\"to\":", stdout);
	json_text(b->target->name);
	for (m = 0; m < REPORT_MEASURES; m++) {
		putchar(',');
		json_spread(measure_names[m],
		    ratio_of(a, b, (enum report_measure)m));
	}
	putchar('}');
}

void
report_json_begin(void)
{
	fputs("{\"tests\":[", stdout);
}

void
report_json(const struct report_test *t, bool first)
{
	unsigned i;

	printf("%s\n{\"test\":\"%s\",\"connections\":%u,\"pipeline\":%u,"
	       "\"background\":",
	    first ? "" : ",", t->name, t->connections, t->depth);
	if (t->background != NULL)
		printf("\"%s:%u\"", t->background, t->background_connections);
	else
		fputs("null", stdout);
	fputs(",\"servers\":[", stdout);
	for (i = 0; i < t->series_count; i++) {
		if (i > 0)
			putchar(',');
		json_series(&t->series[i]);
	}
	fputs("],\"ratios\":[", stdout);
	for (i = 1; i < t->series_count; i++) {
		if (i > 1)
			putchar(',');
		json_ratio(&t->series[0], &t->series[i]);
	}
	fputs("]}", stdout);
	fflush(stdout);
}

void
report_json_end(void)
{
	puts("\n]}");
}
