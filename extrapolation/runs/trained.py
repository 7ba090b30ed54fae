"""A trained model, as its run folder holds it."""

import dataclasses
import logging

import jax

from extrapolation import config, data, model, rpe
from extrapolation.parallel import mesh, multihost
from extrapolation.runs import identity, run_folder
from extrapolation.runs.checkpoint_reader import CheckpointReader

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Trained:
  """What a finished, or half finished, run holds."""

  workdir: str
  config: config.Experiment
  model: model.Model
  params: dict
  step: int
  tokenizer: data.Tokenizer
  _text: data.Dataset | None = None

  def on(self, text: data.Dataset) -> 'Trained':
    """The same model, to be scored on another text in its tokens."""
    return dataclasses.replace(self, _text=text)

  def text(self) -> data.Dataset:
    """The text the run was trained on; read when it is first asked for.

    Raises:
      OSError: it is not there any more.
      ValueError: it has changed.
    """
    if self._text is None:
      text = _read_text(self.workdir, self.config)
      object.__setattr__(self, '_text', text)
      return text
    return self._text


def newest(workdir: str) -> int:
  """The step of the newest complete checkpoint, read or not.

  Raises:
    FileNotFoundError: there is none.
  """
  if not (steps := CheckpointReader(workdir).steps()):
    raise _none_yet(workdir)
  return steps[-1]


def _none_yet(workdir: str) -> FileNotFoundError:
  return FileNotFoundError(
    f'no complete checkpoint in {workdir!r}; train a run there first: '
    'python -m extrapolation.train'
  )


def load(
  workdir: str,
  step: int | None = None,
  layout: mesh.Layout | None = None,
  text: bool = True,
) -> Trained:
  """The newest sound checkpoint of a run, or that of `step`.

  Args:
    layout: where the parameters go, whole on every device; None is one device.
    text: read the run's text as well, and see that it is still the same. The
      folder of a run has its tokenizer and can do without.

  Raises:
    ValueError: no such step, text that has changed, or an encoding in a file
      that was not loaded or is not the one of the run.
    OSError: not a run, no checkpoint that is sound, or text that is gone.
  """
  e = run_folder.load_config(workdir)
  if rpe.is_file(e.model.rpe):
    rpe.find(e.model.rpe, workdir)  # which the user must have named
  read, tokenizer = None, None
  if not text:
    tokenizer = run_folder.tokenizer(workdir)
  if tokenizer is None:  # asked for, or a run of before there was one
    read = multihost.every(lambda: _read_text(workdir, e))
    tokenizer = read.tokenizer
  m = model.make(tokenizer.V, e.model)
  abstract_params = jax.eval_shape(m.init, jax.random.key(0))
  if layout is not None:
    abstract_params = layout.replicated(abstract_params)
  known = run_folder.has_text(workdir)
  manifest = run_folder.text_of(workdir) if known else None
  checkpoints = CheckpointReader(workdir)
  restored = checkpoints.restore(
    {'params': abstract_params},
    step,
    lambda meta: identity.same_run(workdir, meta, e, manifest, tokenizer),
  )
  if restored is None:
    raise _none_yet(workdir)
  multihost.every(lambda: run_folder.same_encoding(workdir, e))
  at, items, _ = restored
  if step is None and at != e.train.steps:
    log.info(
      '%s: step %s of %s is read, the newest',
      workdir, f'{at:,}', f'{e.train.steps:,}',
    )  # fmt: skip
  return Trained(workdir, e, m, items['params'], at, tokenizer, read)


def _read_text(workdir: str, e: config.Experiment) -> data.Dataset:
  expect = run_folder.text_of(workdir)
  # Whoever made the folder says where its text is, not where to write.
  try:
    return data.prepare(**dataclasses.asdict(e.data), expect=expect)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{error}; if the text of the run has moved, evaluate it by --source=..'
    ) from None
