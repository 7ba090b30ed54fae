"""The second evaluation of each run of a sweep, as `eval.probe` names it."""

from extrapolation import config, data
from extrapolation.data import examples, probes, tokenizers
from extrapolation.probe import grid, saved, study
from extrapolation.probe.grid import Settings
from extrapolation.runs import leases, probe_table


def check(e: config.Experiment) -> None:
  """Finds before training what would end the evaluation of a run.

  Raises:
    ValueError: a run on text whose own probe is asked for, one of other
      symbols, or no length of `eval.lengths` with room.
  """
  probe = probe_table.probe_of(e, e.eval.probe)
  if not probe_table.lengths(e, probe):
    probe.check(max(e.eval.lengths))
  own = tokenizers.given(e.data.tokenizer)
  if e.data.source.startswith(probes.PREFIX) and e.data.tokenizer == 'bytes':
    own = examples.tokenizer_of(probe_table.probe_of(e))
  if own is not None:  # others are known when their text is
    data.Examples.of(probe, own)


def evaluate(
  e: config.Experiment, workdir: str, lease: leases.Lease | None = None
) -> list[dict]:
  """Measures a trained run at `eval.lengths`; writes `DIR/eval/probe-NAME.*`.

  `lease` is that of a caller who must not write when it is lost.

  Raises:
    ValueError: as `check`, or a run without the vocabulary of the probe.
    OSError: no sound checkpoint.
  """
  probe = probe_table.probe_of(e, e.eval.probe)
  asked = study.examples_of(workdir, probe)
  settings = Settings(
    lengths=tuple(sorted(probe_table.lengths(e, probe))),
    batch_tokens=e.eval.batch_tokens,
    window=e.eval.window,
  )
  cells = grid.make(probe, settings, e.train.T)
  run = study.load(workdir, None, window=settings.window)
  made = study.measure(run, asked, cells, settings)
  path = probe_table.path(workdir, probe, window=settings.window)
  return saved.write(path, made, lease)
