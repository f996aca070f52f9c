#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""All integration tests, or those whose file.Class.name contains an argument.

    python3 tests/integration/run.py [part of a name]...

KV_BIN   folder of the programs (default: build)
KV_TMP   where store folders are made (default: /var/tmp)
KV_SLOW  factor on every time limit (sanitizers, loaded machines)
KV_STORM connections of the connect-and-close storm (default 2000)
"""

import glob
import os
import sys

import kvrun

here = os.path.dirname(os.path.abspath(__file__))
names = sorted(os.path.basename(p)[:-3]
               for p in glob.glob(os.path.join(here, "test_*.py")))
sys.exit(kvrun.run_modules(names, sys.argv[1:]))
