/* SPDX-License-Identifier: ISC */
/* Result codes: their texts and how errno maps onto them. */

#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

const char *
err_text(int rc)
{
	switch (rc) {
#define X(name, value, text)                                                   \
	case value:                                                            \
		return text;
		KV_RESULTS(X)
#undef X
	default:
		return "unknown error";
	}
}

int
err_from_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return KV_ENOSPC;
	case ENOMEM:
		return KV_ENOMEM;
	case EACCES:
	case EPERM:
	case EROFS:
		return KV_EACCESS;
	case ENOENT:
		return KV_ENOTFOUND;
	case EEXIST:
		return KV_EEXIST;
	default:
		return KV_ESYSTEM;
	}
}

int
err_system(const char *call, const char *object)
{
	int errnum = errno;

	log_error("%s failed object=%s error=\"%s\"", call, object,
	    strerror(errnum));
	return err_from_errno(errnum);
}
