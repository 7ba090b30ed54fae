"""With which code a command ends, and what a launcher makes of it."""

import os

OK = 0
FAILED = 1  # a fault of the program
USAGE = 2  # a mistake that the user can mend, told in one line
LOST = os.EX_UNAVAILABLE  # 69: another process of the group is gone; again
RETRY = os.EX_TEMPFAIL  # 75: stopped by notice, all saved; again
INTERRUPTED = 130  # Ctrl-C
UNREAD = 141  # the reader of its output left, as of one ended by SIGPIPE
AGAIN = (LOST, RETRY)  # the same command goes on from where it was
