"""What the builders share: text from a folder, streamed into array_record."""

import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import example_serializer, file_adapters

from extrapolation.data.sources import files
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.reading import whole_documents
from extrapolation.data.sources.tfds_builders import _prepared
from extrapolation.data.sources.unpacking import Budget
from extrapolation.output.progress import megabytes

SHARD_BYTES = 256 << 20  # of text, about
MAX_RECORD_BYTES = 1 << 30  # protocol buffers end at 2 GiB

Example = tuple[int, dict[str, bytes]]  # key and features, as TFDS has them


class Text(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Documents of a folder of files, in order: one feature, 'text'.

  FROM: where the files come from today. SEPARATOR: between documents of a
  file, see `reading.documents`.
  """

  VERSION = tfds.core.Version('1.0.0')
  SEPARATOR = '<|endoftext|>'
  FROM = ''
  ALSO = ()  # other names of its folder
  PREPARED = ()  # datasets of TFDS that do as well, where they are prepared
  CITATION = ''

  def __init_subclass__(cls, **kw):
    super().__init_subclass__(**kw)
    cls.MANUAL_DOWNLOAD_INSTRUCTIONS = cls.FROM  # what TFDS itself shows

  @classmethod
  def texts(cls, manual: pathlib.Path) -> list[tuple[str, Input]]:
    """The inputs in the folder of the user, each with its separator.

    Raises:
      FileNotFoundError: no files; says where they come from.
    """
    if folder := _prepared.newest(manual):
      return [(cls.SEPARATOR, i) for i in _prepared.splits(folder)]
    try:
      return [(cls.SEPARATOR, i) for i in files.read(str(manual)).inputs]
    except FileNotFoundError as error:
      raise FileNotFoundError(f'tfds:{cls.name}: {error}. {cls.FROM}') from None

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict({'text': tfds.features.Text()}),
      citation=self.CITATION,
      disable_shuffling=True,
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator[Example]]:
    texts = self.texts(pathlib.Path(dl_manager.manual_dir))
    return {
      split: self._generate_examples([t for t in texts if t[1].split == split])
      for split in dict.fromkeys(i.split for _, i in texts)
    }

  def _generate_examples(
    self, texts: list[tuple[str, Input]]
  ) -> Iterator[Example]:
    for key, document in enumerate(self.documents(texts)):
      yield key, {'text': document}

  def documents(self, texts: list[tuple[str, Input]]) -> Iterator[bytes]:
    """Whole documents of a split, in order; empty ones left out."""
    label = f'Building {self.name} {texts[0][1].split}'
    budget = Budget(entry for _, entry in texts)
    with megabytes(label, sum(i.size() for _, i in texts)) as advance:
      for separator, entry in texts:
        yield from whole_documents(entry, separator, MAX_RECORD_BYTES, budget)
        advance(entry.size())

  def _download_and_prepare(
    self,
    dl_manager: tfds.download.DownloadManager,
    download_config: tfds.download.DownloadConfig,
  ) -> None:
    # TFDS's own writer holds up to 1 GiB to sort it, and beyond that needs
    # TensorFlow; these are in order, so they are written as they come.
    done = []
    for split, examples in self._split_generators(dl_manager).items():
      template, written, paths = self._template(split), [], []
      for shard in _shards(examples):
        paths.append(template.data_dir / f'{split}.{len(paths)}')
        written.append(self._write(paths[-1], shard))
      for i, path in enumerate(paths):
        path.rename(
          template.sharded_filepath(shard_index=i, num_shards=len(paths))
        )
      done.append(
        tfds.core.SplitInfo(
          name=split,
          shard_lengths=[count for count, _ in written],
          num_bytes=sum(size for _, size in written),
          filename_template=template,
        )
      )
    self.info.set_splits(tfds.core.splits.SplitDict(done))

  def _write(
    self, path: epath.Path, examples: Iterator[Example]
  ) -> tuple[int, int]:
    """Number and bytes of the records of one shard."""
    features = self.info.features
    serializer = example_serializer.ExampleSerializer(
      features.get_serialized_info()
    )
    count = size = 0

    def records() -> Iterator[tuple[int, bytes]]:
      nonlocal count, size
      for key, example in examples:
        record = serializer.serialize_example(features.encode_example(example))
        count, size = count + 1, size + len(record)
        yield key, record

    file_adapters.ArrayRecordFileAdapter.write_examples(path, records())
    return count, size

  def _template(self, split: str) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
      data_dir=self.data_path,
      dataset_name=self.name,
      split=split,
      filetype_suffix='array_record',
    )


def _shards(examples: Iterator[Example]) -> Iterator[Iterator[Example]]:
  """The same examples in runs of about SHARD_BYTES, none kept in memory."""

  def run(first: Example) -> Iterator[Example]:
    length = len(first[1]['text'])
    yield first
    while length < SHARD_BYTES:
      following = next(examples, None)
      if following is None:
        return
      length += len(following[1]['text'])
      yield following

  while (first := next(examples, None)) is not None:
    yield run(first)
