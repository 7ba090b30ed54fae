"""Whether a data set asks what a model answers, at the sizes it is asked."""

from extrapolation import config, data
from extrapolation.geometry import sizes

# Kind of a model that a kind of task is for, and whether it pools.
FOR = dict(
  masked=('encoder', False),
  classes=('encoder', True),
  sequence=('encoder_decoder', False),
)
POOLED = {True: 'model.pool=mean (or cls)', False: "model.pool=''"}


def checked(text: data.Dataset, e: config.Experiment) -> data.Dataset:
  """The data set with examples of `train.size`; a text as it is.

  Raises:
    ValueError: a text where examples on places are read, a task of another
      kind, geometry or size, each in one line.
  """
  m, source = e.model, e.data.source
  if not isinstance(text, data.Drawn):
    if m.kind != 'decoder':
      raise ValueError(
        f'data.source = {source} is a text, which model.kind=decoder reads; '
        f'model.kind = {m.kind} reads a task: {", ".join(data.tasks.names())}, '
        'or masked:SOURCE'
      )
    return text
  task = text.task
  kind, pooled = FOR[task.kind]
  if m.kind != kind or (kind == 'encoder' and bool(m.pool) != pooled):
    pool = f' with {POOLED[pooled]}' if kind == 'encoder' else ''
    raise ValueError(
      f'data.source = {source} asks for {task.kind}, which model.kind={kind}'
      f'{pool} answers; it is {m.kind}, model.pool = {m.pool!r}'
    )
  g = config.geometry_of(m)
  if kind == 'encoder' and g.name not in task.geometries:
    raise ValueError(
      f'data.source = {source} has places of {" or ".join(task.geometries)}; '
      f'set model.geometry, which is {m.geometry}'
    )
  if task.fits is not None:
    task.fits(g)
  size = config.size(m, e.train.size, 'train.size')
  least = within(e)
  for key, texts in (
    ('train.size', (e.train.size,)),
    ('eval.sizes', e.eval.sizes),
  ):
    for each in texts:
      one = config.size(m, each, key)
      task.check(one, one if key == 'train.size' else least)
  sized = text.at(size)
  cells = sized.first('train', 1)[0].inputs.shape[1]
  expected = config.cells(m, e.train.size)
  if cells != expected:
    raise ValueError(
      f'data.source = {source} has {cells} places at train.size = '
      f'{e.train.size}, and model.geometry = {m.geometry} has {expected}; give '
      'both the same hyperparameters'
    )
  return sized


def check_other(source: str, e: config.Experiment) -> None:
  """Raises ValueError unless a run can be scored on another source."""
  if e.model.kind != 'decoder' and not data.is_task(source):
    raise ValueError(
      f'--source={source} is a text, and this run, of kind {e.model.kind}, '
      f'reads a task: give one of {", ".join(data.tasks.names())}'
    )


def decoder(e: config.Experiment, what: str) -> None:
  """Raises ValueError unless a model reads a text from left to right."""
  if e.model.kind != 'decoder':
    raise ValueError(
      f'{what} is of model.kind = decoder, and this run is of kind '
      f'{e.model.kind}, which is scored by size: evaluate --sizes=..'
    )


def within(e: config.Experiment) -> tuple[int, ...]:
  """The smallest size, whose targets are scored at every one.

  Raises:
    ValueError: none of them lies within all others.
  """
  every = [config.size(e.model, text, 'eval.sizes') for text in e.eval.sizes]
  least = tuple(map(min, zip(*every, strict=True)))
  if least not in every:
    raise ValueError(
      f'eval.sizes = {", ".join(e.eval.sizes)}: none lies within all others, '
      f'and the same targets are scored at each; add {sizes.write(least)}'
    )
  return least
