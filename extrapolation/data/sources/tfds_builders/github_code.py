"""Source code."""

from extrapolation.data.sources.tfds_builders import _text


class GithubCode(_text.Text):
  """Source files, one per document, or separated by lines <|endoftext|>."""

  ALSO = ('code',)
  FROM = (
    'Source code comes from the Hugging Face Hub as codeparrot/github-code or '
    'bigcode/the-stack-dedup (.parquet, column content or code), or is any '
    'folder of source files'
  )


Builder = GithubCode
