"""Books: whole long documents."""

from extrapolation.data.sources.tfds_builders import _text


class Books(_text.Text):
  """Whole books, one per file, or separated by lines <|endoftext|>."""

  PREPARED = ('pg19',)
  FROM = (
    'BookCorpus is no longer given out by its authors. Books come as '
    'deepmind/pg19 or emozilla/pg19 from the Hugging Face Hub, as pg19 from '
    'TFDS (read where it is prepared with --file_format=array_record), or as '
    'plain text from Project Gutenberg'
  )


Builder = Books
