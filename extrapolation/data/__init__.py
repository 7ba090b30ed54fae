"""Text as token streams: sources, tokenizers, a prepared corpus, batches."""

from extrapolation.data.dataset import Dataset
from extrapolation.data.pipeline import batches
from extrapolation.data.preparation import prepare
from extrapolation.data.tokenizer import Tokenizer
from extrapolation.data.tokenizer import load as load_tokenizer

__all__ = ['Dataset', 'Tokenizer', 'batches', 'load_tokenizer', 'prepare']
