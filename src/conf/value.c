/* SPDX-License-Identifier: ISC */
/* What each type of option accepts. */

#include "conf/value.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/num.h"

#define VALUE_NODE_MAX 63  /* sync: a node name on the wire */
#define VALUE_HOST_MAX 253 /* RFC 1035 */
#define VALUE_COMMAND_MAX 64

static bool
value_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

bool
value_next(struct kv_slice *rest, struct kv_slice *item)
{
	while (rest->len > 0 && value_is_blank(*rest->data)) {
		rest->data++;
		rest->len--;
	}
	*item = (struct kv_slice){ rest->data, 0 };
	while (rest->len > 0 && !value_is_blank(*rest->data)) {
		rest->data++;
		rest->len--;
		item->len++;
	}
	return item->len > 0;
}

/* ---- numbers ---- */

struct value_unit {
	const char *name;
	uint64_t factor;
};

static const struct value_unit value_units[][6] = {
	[OPTION_NUMBER] = { { "", 1 } },
	[OPTION_SIZE] = { { "t", CONF_T }, { "g", CONF_G }, { "m", CONF_M },
	    { "k", CONF_K }, { "", 1 } },
	[OPTION_TIME] = { { "d", CONF_DAY_MS }, { "h", 3600000 },
	    { "m", 60000 }, { "s", 1000 }, { "ms", 1 } },
};

void
value_format(enum option_type type, uint64_t number, char to[VALUE_TEXT_MAX])
{
	const struct value_unit *unit = value_units[type];

	while (number % unit->factor != 0)
		unit++;
	if (number == 0)
		snprintf(to, VALUE_TEXT_MAX, "0");
	else
		snprintf(to, VALUE_TEXT_MAX, "%llu%s",
		    (unsigned long long)(number / unit->factor), unit->name);
}

static int
value_parse_number(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	char shown[VALUE_TEXT_MAX];
	int rc;

	if (option->type == OPTION_NUMBER)
		rc = num_parse_u64(text, number);
	else if (option->type == OPTION_SIZE)
		rc = num_parse_size(text, number);
	else
		rc = num_parse_ms(text, number);
	if (rc < 0)
		return rc;
	if (*number < option->min || *number > option->max)
		return KV_EINVAL;
	value_format(option->type, *number, shown);
	return buf_append(normal, shown, strlen(shown));
}

static int
value_parse_choice(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	const char *c;

	*number = 0;
	for (c = option->choices; *c != '\0'; c += strlen(c) + 1) {
		if (slice_equal(slice_of(c), text))
			return buf_append(normal, c, text.len);
		(*number)++;
	}
	return KV_EINVAL;
}

/* ---- paths ---- */

static int
value_parse_path(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	char here[PATH_MAX];
	int rc;

	(void)option;
	(void)number;
	if (text.len == 0)
		return KV_EINVAL;
	if (text.data[0] != '/') {
		if (getcwd(here, sizeof(here)) == NULL)
			return KV_EINVAL;
		if ((rc = buf_printf(normal, "%s/", here)) < 0)
			return rc;
	}
	if (normal->len + text.len > VALUE_PATH_MAX)
		return KV_EINVAL;
	return buf_append(normal, text.data, text.len);
}

/* ---- lists ---- */

typedef bool value_check(struct kv_slice item);

static int
value_parse_list(struct kv_slice text, value_check *is_good, struct buf *normal)
{
	struct kv_slice item;
	int rc;

	while (value_next(&text, &item)) {
		if (!is_good(item))
			return KV_EINVAL;
		if (normal->len > 0 && (rc = buf_append(normal, ",", 1)) < 0)
			return rc;
		if ((rc = buf_append(normal, item.data, item.len)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
value_parse_range(struct kv_slice item, uint64_t *low, uint64_t *high)
{
	const char *dash = memchr(item.data, '-', item.len);
	size_t len = dash == NULL ? item.len : (size_t)(dash - item.data);
	int rc;

	rc = num_parse_u64((struct kv_slice){ item.data, len }, low);
	if (rc < 0)
		return rc;
	*high = *low;
	if (dash != NULL)
		rc = num_parse_u64((struct kv_slice){ dash + 1,
				       item.len - len - 1 },
		    high);
	if (rc < 0)
		return rc;
	if (*high > UINT16_MAX || *low > *high || (dash != NULL && *low == 0))
		return KV_EINVAL;
	return KV_OK;
}

static int
value_add_port(uint16_t port, uint16_t *to, size_t room, size_t *count)
{
	size_t i;

	for (i = 0; i < *count; i++) {
		if (to[i] == port && port != 0)
			return KV_EINVAL;
	}
	if (*count == room)
		return KV_ETOOBIG;
	to[(*count)++] = port;
	return KV_OK;
}

int
value_ports(const char *text, uint16_t *to, size_t room, size_t *count)
{
	struct kv_slice rest = slice_of(text), item;
	uint64_t low, high;
	int rc = KV_OK;

	*count = 0;
	while (rc == KV_OK && value_next(&rest, &item)) {
		rc = value_parse_range(item, &low, &high);
		while (rc == KV_OK && low <= high)
			rc = value_add_port((uint16_t)low++, to, room, count);
	}
	return rc;
}

static bool
value_any(struct kv_slice item)
{
	(void)item;
	return true;
}

static int
value_parse_ports(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	uint16_t ports[VALUE_PORTS_MAX];
	size_t count;
	int rc;

	(void)option;
	if ((rc = value_parse_list(text, value_any, normal)) < 0 ||
	    (rc = buf_append(normal, "", 1)) < 0)
		return rc;
	normal->len--;
	rc = value_ports(normal->data, ports, VALUE_PORTS_MAX, &count);
	*number = count;
	return rc < 0 ? rc : count == 0 ? KV_EINVAL : KV_OK;
}

static bool
value_is_address(struct kv_slice item)
{
	char text[INET6_ADDRSTRLEN + 32];
	struct in6_addr any;
	char *scope;

	if (item.len >= sizeof(text))
		return false;
	memcpy(text, item.data, item.len);
	text[item.len] = '\0';
	if (inet_pton(AF_INET, text, &any) == 1)
		return true;
	if ((scope = strchr(text, '%')) != NULL)
		*scope = '\0'; /* fe80::1%eth0 */
	return inet_pton(AF_INET6, text, &any) == 1;
}

static int
value_parse_addresses(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	int rc = value_parse_list(text, value_is_address, normal);

	(void)option;
	(void)number;
	return rc == KV_OK && normal->len == 0 ? KV_EINVAL : rc;
}

/* ---- nodes ---- */

static bool
value_is_made_of(struct kv_slice s, const char *more)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.data[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
		    (c < '0' || c > '9') && strchr(more, c) == NULL)
			return false;
	}
	return s.len > 0;
}

static bool
value_is_word(struct kv_slice s, const char *more)
{
	return s.len <= VALUE_NODE_MAX && value_is_made_of(s, more);
}

/* ":4071" behind a host; nothing is fine. */
static bool
value_node_port(struct kv_slice text, uint16_t *port)
{
	uint64_t number;

	*port = 0;
	if (text.len == 0)
		return true;
	text.data++;
	text.len--;
	if (num_parse_u64(text, &number) < 0 || number == 0 ||
	    number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

static bool
value_node_host(struct kv_slice text, struct value_node *out)
{
	const char *end = text.data + text.len, *close, *colon;

	if (text.len > 0 && text.data[0] == '[') {
		if ((close = memchr(text.data, ']', text.len)) == NULL ||
		    (close + 1 < end && close[1] != ':'))
			return false;
		out->host = (struct kv_slice){ text.data + 1,
			(size_t)(close - text.data) - 1 };
		return value_is_address(out->host) &&
		    value_node_port((struct kv_slice){ close + 1,
					(size_t)(end - close) - 1 },
			&out->port);
	}
	out->host = text;
	out->port = 0;
	/* Of several colons none stands before a port. */
	if (value_is_address(text))
		return true;
	if ((colon = memchr(text.data, ':', text.len)) == NULL)
		return value_is_word(text, "-_.%");
	out->host.len = (size_t)(colon - text.data);
	return value_is_word(out->host, "-_.%") &&
	    value_node_port((struct kv_slice){ colon, (size_t)(end - colon) },
		&out->port);
}

bool
value_node(struct kv_slice item, struct value_node *out)
{
	const char *at = memchr(item.data, '@', item.len);

	if (at == NULL)
		return false;
	out->name = (struct kv_slice){ item.data, (size_t)(at - item.data) };
	return value_is_word(out->name, "-_.") &&
	    value_node_host((struct kv_slice){ at + 1,
				item.len - out->name.len - 1 },
		out);
}

static bool
value_is_node(struct kv_slice item)
{
	struct value_node node;

	return value_node(item, &node);
}

static int
value_parse_name(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	struct value_node node;
	bool good = option->type == OPTION_NAME ? value_is_word(text, "-_")
						: value_node(text, &node) &&
		node.port == 0 && text.len <= VALUE_NODE_MAX;

	(void)number;
	if (!good)
		return KV_EINVAL;
	return buf_append(normal, text.data, text.len);
}

static int
value_parse_host(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	(void)option;
	(void)number;
	if (text.len > VALUE_HOST_MAX || !value_is_made_of(text, "-_.:"))
		return KV_EINVAL;
	return buf_append(normal, text.data, text.len);
}

static int
value_parse_nodes(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	(void)option;
	(void)number;
	return value_parse_list(text, value_is_node, normal);
}

static bool
value_is_command(struct kv_slice item)
{
	return item.len < VALUE_COMMAND_MAX && value_is_word(item, "-_.|");
}

static int
value_parse_commands(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	(void)option;
	(void)number;
	return value_parse_list(text, value_is_command, normal);
}

/* ---- secrets ---- */

static bool
value_take_text(struct kv_slice *rest, const char *text)
{
	size_t len = strlen(text);

	if (rest->len < len || memcmp(rest->data, text, len) != 0)
		return false;
	rest->data += len;
	rest->len -= len;
	return true;
}

/* A run of these characters, at least so many. */
static bool
value_take_run(struct kv_slice *rest, const char *of, size_t least)
{
	size_t n = 0;

	while (n < rest->len && rest->data[n] != '\0' &&
	    strchr(of, rest->data[n]) != NULL)
		n++;
	rest->data += n;
	rest->len -= n;
	return n >= least;
}

/* The form of crypto_pwhash_str(3) of libsodium: never a plain password. */
static int
value_parse_secret(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number)
{
	static const char digits[] = "0123456789";
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	struct kv_slice rest = text;

	(void)option;
	(void)number;
	if (text.len > VALUE_SECRET_MAX ||
	    !value_take_text(&rest, "$argon2id$v=19$m=") ||
	    !value_take_run(&rest, digits, 1) ||
	    !value_take_text(&rest, ",t=") ||
	    !value_take_run(&rest, digits, 1) ||
	    !value_take_text(&rest, ",p=") ||
	    !value_take_run(&rest, digits, 1) || !value_take_text(&rest, "$") ||
	    !value_take_run(&rest, base64, 16) ||
	    !value_take_text(&rest, "$") ||
	    !value_take_run(&rest, base64, 32) || rest.len > 0)
		return KV_EINVAL;
	return buf_append(normal, text.data, text.len);
}

/* ---- all ---- */

typedef int value_parser(const struct conf_option *option, struct kv_slice text,
    struct buf *normal, uint64_t *number);

static value_parser *const value_parsers[] = {
	[OPTION_NUMBER] = value_parse_number,
	[OPTION_SIZE] = value_parse_number,
	[OPTION_TIME] = value_parse_number,
	[OPTION_CHOICE] = value_parse_choice,
	[OPTION_PATH] = value_parse_path,
	[OPTION_PORTS] = value_parse_ports,
	[OPTION_ADDRESSES] = value_parse_addresses,
	[OPTION_NAME] = value_parse_name,
	[OPTION_FULL_NAME] = value_parse_name,
	[OPTION_NODES] = value_parse_nodes,
	[OPTION_HOST] = value_parse_host,
	[OPTION_COMMANDS] = value_parse_commands,
	[OPTION_SECRET] = value_parse_secret,
};

int
value_parse(const struct conf_option *option, const char *text,
    struct buf *normal, uint64_t *number)
{
	const char *c;
	int rc;

	*number = 0;
	/* A line each is how children are told, and how it is printed. */
	for (c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' && *c != '\t')
			return KV_EINVAL;
	}
	if (c - text > VALUE_LENGTH_MAX)
		return KV_EINVAL;
	if (c == text && option->preset[0] == '\0')
		rc = KV_OK; /* as if it were not given */
	else
		rc = value_parsers[option->type](option, slice_of(text), normal,
		    number);
	if (rc == KV_OK && (rc = buf_append(normal, "", 1)) == KV_OK)
		normal->len--; /* a NUL behind it */
	return rc;
}
