/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_KVD_RIG_H
#define KV_TESTS_KVD_RIG_H

/* A whole kvd with children that are fakes.  The test program is linked under
 * the names of kvd and of its children into a folder of the test, and is
 * whatever it is called.  A fake does what the file mode-PROGRAM in the
 * store's folder says (once), writes what it lives through to the file
 * `journal` there, and answers every connection with its pid. */

#include <stddef.h>
#include <sys/types.h>

#define RIG_PATIENCE_MS 20000
#define RIG_TEXT_MAX 32768

extern char rig_store[96];  /* the store's folder */
extern char rig_config[96]; /* the configuration file */
extern pid_t rig_kvd;
extern int rig_log;		    /* what it says comes from here */
extern char rig_text[RIG_TEXT_MAX]; /* what it has said so far */

/* First in main: kvd or a fake, or -1 when this is the test. */
int rig_main(int argc, char **argv);

int rig_set_up(void **state);
int rig_tear_down(void **state);

/* "fail", "exit 1", "exit 75", "crash": how its next start goes. */
void rig_set_mode(const char *program, const char *mode);

void rig_write_text(const char *path, const char *text);

/* Hand this listening socket to the next kvd, as a service manager does. */
void rig_give(int fd);

/* Start kvd with this configuration file. */
void rig_start(const char *text);

/* Read until kvd has said this; NULL: until it and its children are gone. */
void rig_expect(const char *wanted);
void rig_expect_exit(int code);

/* Forget what was said so far. */
void rig_expect_anew(void);

/* From what was said: the nth port. */
int rig_listening_port(int which);

/* The pid of the worker that answers on the port. */
pid_t rig_ask_port(int port);

void rig_ask_control(const char *request, char *to, size_t size);
void rig_assert_journal(const char *expected);

/* A port that is free now, for a test that must know it before. */
int rig_free_port(void);

#endif
