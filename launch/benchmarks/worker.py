"""The process of one case: builds it, then repeats it for each line read."""

import importlib
import json
import math
import os
import resource
import sys
import time


def main() -> None:
  spec = json.loads(sys.argv[1])
  # What libraries print must not mix with what the parent reads.
  out = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  start = time.monotonic()
  module = importlib.import_module(f'launch.benchmarks.{spec["module"]}')
  run, about = getattr(module, spec['make'])(**spec['args'])
  begin = time.monotonic()
  run()
  if time.monotonic() - begin < 30:  # else what it compiled does not matter
    begin = time.monotonic()
    run()
  # One repetition at least, better some: so that other work on the machine
  # evens out, and the first one, with cold caches, is not all there is.
  inner = math.ceil(spec['seconds'] / (time.monotonic() - begin))
  about |= dict(build_seconds=time.monotonic() - start)
  print(json.dumps(about), file=out, flush=True)
  for _ in sys.stdin:
    waited = time.process_time()
    result, begin, cpu = None, time.monotonic(), time.process_time()
    for _ in range(inner):
      result = run()
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    about = dict(rss_mb=rss, **({} if result is None else dict(result=result)))
    total = time.process_time() - waited
    reply = dict(seconds=seconds / inner, cpu=cpu / inner, cpu_all=total)
    print(json.dumps(reply | dict(about=about)), file=out, flush=True)


if __name__ == '__main__':
  main()
