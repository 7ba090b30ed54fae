"""One training run: `python -m extrapolation.train --config=... --workdir=...`.

The same command again resumes a run that was interrupted, to the same bits.
"""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from immutabledict import immutabledict

from extrapolation import cli, config, data, rpe, runs, training
from extrapolation.cli import allocator, compilation_cache, paths
from extrapolation.evaluation import eval_windows
from extrapolation.model import layer_rates
from extrapolation.parallel import mesh, multihost, preemption
from extrapolation.rpe import check as rpe_check
from extrapolation.runs import asked, identity, init_from, leases
from extrapolation.runs.checkpoint import Checkpoints
from extrapolation.runs.checkpoint_reader import CheckpointReader
from extrapolation.training import loop

log = logging.getLogger('extrapolation.train')  # also as __main__


def check(e: config.Experiment) -> None:
  """Raises ValueError unless batch and devices, encoding and model fit.

  An experiment has checked all else when it was made.
  """
  training.check_batch(e.train, mesh.layout(e.parallel))
  _check_bias(e.model.rpe, e.model.rpe_args, e.model.H, e.train.T)


@functools.cache  # a sweep has many runs of one encoding
def _check_bias(
  name: str, hyper: immutabledict[str, Any], H: int, T: int
) -> None:
  for encoding in rpe.layers(name, H, **hyper):
    rpe_check.check(encoding, H, T)
    rpe_check.check_parts(encoding, H, T)


def train(
  e: config.Experiment,
  workdir: str,
  lease: leases.Lease | None = None,
  check_text: Callable[[Mapping], None] = lambda manifest: None,
) -> dict:
  """Trains, or goes on training, the run of an experiment in `workdir`.

  Returns its last metrics. `lease` is that of a caller which holds `workdir`;
  otherwise the folder is claimed here. `check_text` raises ValueError for the
  manifest of a text that is not to be trained on. All that can be wrong with
  the config is found before the folder is made and before anything is computed.
  Of several processes all call it alike, and the first one writes.

  Raises:
    ValueError: a config that does not fit, or a folder of another one.
    FloatingPointError: loss, gradient or parameters are no longer finite.
    OSError: the folder or a checkpoint cannot be written or read, or another
      process is working in it.
    Preempted: a SystemExit, after a notice (SIGTERM, Ctrl-C) and a save.
  """
  check(e)
  if jax.process_count() > 1:  # prepared once, where hosts share a cache
    multihost.first(lambda: _text(e))
  text = multihost.every(lambda: asked.checked(_text(e), e))
  check_text(text.manifest)
  multihost.same('text', text.manifest['splits']['train']['tokens_sha256'])
  p = training.make(e, text.tokenizer.V)
  index, count = p.layout.slice(e.train.B)
  batches = text.batches(
    B=e.train.B,
    T=e.train.T,
    seed=e.seed,
    process_index=index,
    process_count=count,
  )
  if e.train.valid_every:
    loop.valid_windows(text, e.train)  # long enough?
  _check_lengths(text, e.eval)
  begun = None
  if e.train.init_from and not CheckpointReader(workdir).steps():
    begun = init_from.params(
      e.train.init_from, p.abstract_state.params, text.tokenizer
    )

  with contextlib.ExitStack() as stack:
    claim = multihost.first(lambda: runs.claim(workdir, e, lease))
    lease = stack.enter_context(claim) if claim else None
    multihost.shared(workdir)
    checkpoints = stack.enter_context(
      Checkpoints(workdir, e.train.keep, e.train.keep_every, lease)
    )
    notice = stack.enter_context(preemption.Preemption(ctrl_c=True))
    log.info('%s', text.summary(e.train.T))
    multihost.first(lambda: _record(workdir, text))
    init_key, dropout_key = jax.random.split(jax.random.key(e.seed))
    restored = checkpoints.restore(
      loop.items(p.abstract_state),
      same=lambda meta: identity.same_run(
        workdir, meta, e, text.manifest, text.tokenizer
      ),
    )
    if restored is None:
      state, first = p.init(init_key), 0
      if begun is not None:
        state = state._replace(params=begun)
        log.info('beginning with the parameters of %s', e.train.init_from)
      _write_rpe(workdir, 'init', p, state, e, lease)
    else:
      multihost.every(lambda: runs.same_encoding(workdir, e))
      _, items, meta = restored
      first = meta['next_batch']  # batch k is what step k reads
      state = training.State(jnp.asarray(first, jnp.int32), **items)
      checkpoints.set_aside_after(first)
      log.info('resuming %s after step %d', workdir, first)
    size = sum(x.size for x in jax.tree.leaves(p.abstract_state.params))
    log.info(
      '%s: %s parameters, steps %d..%d, %d x %d tokens per step, %s',
      e.model.label, f'{size:,}', first, e.train.steps, e.train.B, e.train.T,
      p.layout,
    )  # fmt: skip
    with contextlib.closing(
      loop.Loop(e, workdir, checkpoints, notice, first, lease)
    ) as steps:
      state = steps.run(p, state, batches, dropout_key, text)
    _write_rpe(workdir, 'final', p, state, e, lease)
  return runs.read_metrics(workdir)[-1] if e.train.steps > first else {}


def _text(e: config.Experiment) -> data.Dataset:
  return data.prepare(**dataclasses.asdict(e.data))


def _check_lengths(text: data.Dataset, s: config.Eval) -> None:
  """Raises ValueError if no document is as long as `eval.lengths`.

  Where each is read by itself, that would end a run at its evaluation.
  """
  if text.within and s.lengths and s.split in text.manifest['splits']:
    documents, longest = text.offsets(s.split), max(s.lengths)
    try:
      eval_windows.windows(documents, longest, s.protocol, longest, s.tokens)
    except ValueError as e:
      raise ValueError(
        f'eval.lengths, in the {s.split} split, which is read by documents '
        f'(data.windows = {text.windows}): {e}'
      ) from None


def _record(workdir: str, text: data.Dataset) -> None:
  runs.same_text(workdir, text.manifest)
  runs.write_tokenizer(workdir, text.tokenizer)


def _write_rpe(
  workdir: str,
  when: str,
  p: training.TrainStep,
  state: training.State,
  e: config.Experiment,
  lease: leases.Lease | None,
) -> None:
  values = p.rpe_params(state.params)
  encodings, rates, mixes = p.model.encodings, [], []
  moving = not all(x.clock.is_index and x.heat.is_one for x in encodings)
  scored = not all(x.score.is_plain for x in encodings)
  if moving or scored:
    read = p.layout.jit_replicated(layer_rates.needed)(state.params)
    read = jax.device_get(read)
    if moving:
      rates = layer_rates.of_layers(encodings, e.model.N, e.model.H, read)
    mixes = layer_rates.mixes(encodings, e.model.N, read)
  if lease:
    lease.check()
  multihost.first(
    lambda: runs.write_rpe(workdir, when, e, values, rates, mixes)
  )


def _begin(spec: str, workdir: str) -> str:
  """`spec` with its step; that of a run which began with it already."""
  if os.path.exists(os.path.join(workdir, 'config.json')):
    known = runs.load_config(workdir).train.init_from
    if known == spec or known.rpartition(':')[0] == spec:
      return known
  return init_from.resolve(spec)


def main(argv: list[str]) -> None:
  preemption.exit_on_sigterm()
  argv, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__, rpe.names())
  parser.add_argument('--config', required=True, metavar='FILE.py[:ARG]')
  parser.add_argument(
    '--workdir', type=paths.path, required=True, metavar='DIR'
  )
  parser.add_argument(
    '--init_from',
    default='',
    metavar='RUN[:STEP]',
    help='begin with the parameters of this run (train.init_from)',
  )
  multihost.add_flags(parser)
  args = parser.parse_args(argv)
  allocator.keep()
  compilation_cache.enable()
  processes = multihost.pop_flags(args)
  if args.init_from:
    overrides |= {'train.init_from': _begin(args.init_from, args.workdir)}
  e = config.load(args.config, overrides)
  about = dict(config=e.to_dict(), workdir=args.workdir)
  with multihost.group(processes, **about):
    train(e, args.workdir)
    own = f' --rpe={e.model.rpe}' if rpe.is_file(e.model.rpe) else ''
    log.info(
      'done; next: python -m extrapolation.evaluate --workdir=%s%s',
      args.workdir,
      own,
    )


if __name__ == '__main__':
  cli.run(main)
