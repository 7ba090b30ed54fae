"""Text as token streams: sources, tokenizers, a prepared corpus, batches."""

from extrapolation.data import tasks
from extrapolation.data.cells import Cells
from extrapolation.data.dataset import BY_DOCUMENT, WINDOWS, Dataset
from extrapolation.data.drawn import Drawn, is_task
from extrapolation.data.examples import Answers, Examples
from extrapolation.data.generated import Generated
from extrapolation.data.pipeline import batches
from extrapolation.data.preparation import prepare
from extrapolation.data.sources import SPLITS
from extrapolation.data.tokenizers import Tokenizer
from extrapolation.data.tokenizers import load as load_tokenizer

__all__ = [
  'BY_DOCUMENT',
  'SPLITS',
  'WINDOWS',
  'Answers',
  'Cells',
  'Dataset',
  'Drawn',
  'Examples',
  'Generated',
  'Tokenizer',
  'batches',
  'is_task',
  'load_tokenizer',
  'prepare',
  'tasks',
]
