# SPDX-License-Identifier: ISC
# terminal.py SECONDS PROMPT LINE COMMAND...: runs the command on a terminal of its own. What is typed too early is thrown
# away by a program that asks for a password, so LINE is typed when PROMPT is seen. The terminal stays until the command has
# ended, or the seconds are over (status 124). What it shows is standard output; the status is the command's.
import os
import pty
import select
import signal
import sys
import time

seconds, prompt, line, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    try:
        os.execvp(command[0], command)
    except OSError as e:
        print(f"{command[0]}: {e.strerror}", flush=True)
    os._exit(127)

end = time.monotonic() + float(seconds)
shown, typed, late = b"", False, False
while True:
    left = end - time.monotonic()
    if left <= 0 or not select.select([terminal], [], [], left)[0]:
        os.kill(pid, signal.SIGKILL)
        late = True
        break
    try:
        some = os.read(terminal, 4096)
    except OSError:  # nobody has it open any more
        break
    shown += some
    if not typed and prompt.encode() in shown:
        typed = True
        os.write(terminal, line.encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.stdout.flush()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(124 if late else status if status >= 0 else 128 - status)
