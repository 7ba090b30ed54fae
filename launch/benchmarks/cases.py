"""What `launch/benchmark.py` compares: (title, cases) of each command."""

import argparse
from collections.abc import Iterator

from launch.benchmarks.measure import Case

Titled = tuple[str, list[Case]]
LONGEST_DENSE = 4096  # tokens whose logits fit the memory of any machine
MODEL = dict(N=6, D=256, H=8, F=1024, V=8192)


def jax_case(name: str, make: str, **args) -> Case:
  return Case(name, 'jax_cases', make, args)


def torch_case(name: str, make: str, **args) -> Case:
  return Case(name, 'torch_cases', make, args)


def train(args: argparse.Namespace) -> Iterator[Titled]:
  size = dict(MODEL, B=args.batch, T=args.lengths[0] if args.lengths else 512)
  yield (
    f'train, {size}',
    [
      jax_case('plain', 'train', form='plain', **size),
      jax_case('ours', 'train', form='ours', keep=True, **size),
      jax_case('plain, memory kept', 'train', form='plain', keep=True, **size),
      jax_case('ours, memory not kept', 'train', form='ours', **size),
      torch_case('torch eager', 'train', form='eager', compiled=False, **size),
      torch_case('torch compile sdpa', 'train', form='sdpa', **size),
      jax_case('matrix product', 'peak'),
    ],
  )


def evaluate(args: argparse.Namespace) -> Iterator[Titled]:
  for T in args.lengths or [9216]:
    w, size = args.window, dict(MODEL, T=T)
    cases = [
      jax_case('plain', 'evaluate', form='plain', **size),
      jax_case('ours, exact', 'evaluate', form='ours', **size),
      jax_case(f'ours, {w}', 'evaluate', form='ours', window=w, **size),
      torch_case('torch sdpa', 'evaluate', form='sdpa', **size),
      torch_case('torch flex', 'evaluate', form='flex', **size),
      torch_case(f'torch flex, {w}', 'evaluate', form='flex', window=w, **size),
      jax_case('matrix product', 'peak'),
    ]
    # ALiBi's bias falls below ln 1e-6 at 13.8 / slope: windows of equal error.
    heads = [max(1, round(13.8 * 2**h)) for h in range(1, size['H'] + 1)]
    heads = [min(T, x) for x in heads]
    cases[3:3] = [
      jax_case('ours, 1e-6 per head', 'evaluate', form='ours', window=heads,
               **size),
      jax_case('ours, 1e-6 at most', 'evaluate', form='ours',
               window=max(heads), **size),
    ]  # fmt: skip
    if T > args.exact_up_to:
      ours = [c for c in cases if c.name.startswith('ours')]
      cases = [c for c in ours if c.name != 'ours, exact'] + cases[-1:]
    yield f'eval, {size}', cases


def attention(args: argparse.Namespace) -> Iterator[Titled]:
  for T in args.lengths or [512, 2048]:
    for backward in (False, True):
      size = dict(B=args.batch, T=T, H=8, K=args.width, backward=backward)
      size |= dict(dtype=args.dtype)
      names = ['reference', 'blockwise', *args.implementations]
      cases = [jax_case(n, 'attend', implementation=n, **size) for n in names]
      cases += [
        torch_case(f'torch {n}', 'attend', form=n, **size)
        for n in ('eager', 'sdpa', 'flex', 'nobias')
        if not (n == 'flex' and backward and args.dtype == 'float32')
      ]
      cases.append(jax_case('matrix product', 'peak', dtype=args.dtype))
      yield f'attention, {size}', cases
  yield from gates(args)


def gates(args: argparse.Namespace) -> Iterator[Titled]:
  """`linear@forget` beside a table: the batch holds as many tokens as at 512.

  flex_attention has no backward on a CPU, and is left out there.
  """
  for T in args.lengths or [512, 2048, 9216]:
    for backward in (False, True):
      B = max(1, args.batch * 512 // T)
      size = dict(B=B, T=T, H=8, K=args.width, backward=backward)
      size |= dict(dtype=args.dtype)
      yield (
        f'gates, {size}',
        [
          jax_case('table', 'attend', implementation='blockwise', **size),
          jax_case('gates', 'gated', implementation='blockwise', **size),
          jax_case('gates, dense', 'gated', implementation='reference', **size),
          torch_case('torch eager, gates', 'gated', form='eager', **size),
          torch_case('torch flex, gates', 'gated', form='flex', **size),
        ],
      )


def spaces(args: argparse.Namespace) -> Iterator[Titled]:
  """A grid: the batch holds as many cells as at 512.

  N of --lengths is the side of a square. What is dense is left out of long
  ones, and flex_attention of the backward pass, which it lacks on a CPU.
  """
  squares = [[n, n] for n in args.lengths or []]
  for size in squares or [[16, 32], [96, 96]]:
    T = size[0] * size[1]
    for backward in (False, True):
      B = max(1, args.batch * 512 // T)
      case = dict(size=size, B=B, H=8, K=args.width, backward=backward)
      case |= dict(dtype=args.dtype)
      jax_names = ['blockwise', *(['reference'] if T <= LONGEST_DENSE else [])]
      torch_names = ['eager', 'sdpa'] if T <= LONGEST_DENSE else ['sdpa']
      torch_names += [] if backward else ['flex']
      cases = [
        Case(n, 'jax_spaces', 'attend', dict(case, implementation=n))
        for n in jax_names
      ] + [
        Case(f'torch {n}', 'torch_spaces', 'attend', dict(case, form=n))
        for n in torch_names
      ]
      yield f'spaces, {case}', cases


def decode(args: argparse.Namespace) -> Iterator[Titled]:
  size = dict(MODEL, context=args.lengths[0] if args.lengths else 16_384)
  full = size['context']
  yield (
    f'decode, {size}',
    [
      jax_case('full cache', 'generation', window=full, **size),
      jax_case(f'ring of {args.window}', 'generation', window=args.window,
               **size),
      jax_case('read memory', 'bandwidth'),
    ],
  )  # fmt: skip


def save(args: argparse.Namespace) -> Iterator[Titled]:
  """What a checkpoint every 20 steps costs; ratios are of whole steps."""
  for path in ('configs/demo.py', 'configs/cpu_study.py'):
    size = dict(steps=20, path=path)
    yield (
      f'save, {size}',
      [
        jax_case('no checkpoints', 'save', saving=False, **size),
        jax_case('a checkpoint every 20 steps', 'save', saving=True, **size),
      ],
    )


COMMANDS = {
  'train': train, 'eval': evaluate, 'attention': attention, 'decode': decode,
  'save': save, 'spaces': spaces,
}  # fmt: skip
