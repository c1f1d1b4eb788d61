import { entry } from './entry.js'

/** DINO10xx: runtime and data. 1001-1029 data and files; from 1030 the run itself. */
export const runtime = {
  DINO1001: entry<{ source: string; path: string }>(
    'error',
    'the folder or file of a source does not exist',
    (a) => `source \`${a.source}\`: ${a.path} does not exist`,
  ),
  DINO1002: entry<{ source: string; path: string }>(
    'error',
    'a source holds no images',
    (a) => `source \`${a.source}\`: no images found in ${a.path}`,
  ),
  DINO1003: entry<{ source: string; folder: string }>(
    'error',
    'a class folder holds no images',
    (a) => `source \`${a.source}\`: class folder ${a.folder} holds no images`,
  ),
  DINO1004: entry<{ source: string; path: string; reason: string }>(
    'error',
    'a folder, label table or image list cannot be read',
    (a) => `source \`${a.source}\`: cannot read ${a.path}: ${a.reason}`,
  ),
  DINO1005: entry<{ source: string; path: string; column: string }>(
    'error',
    'a label table or image list lacks a column',
    (a) => `source \`${a.source}\`: ${a.path} has no column \`${a.column}\``,
  ),
  DINO1006: entry<{ what: string; type: string }>(
    'error',
    'this kind of data cannot be read yet',
    (a) => `${a.what}: data of type \`${a.type}\` cannot be read by this version`,
  ),
  DINO1007: entry<{ unreadable: number; read: number; what: string; percent: number }>(
    'error',
    'too many unreadable images',
    (a) => `${a.unreadable} of ${a.read} ${a.what} could not be read: more than ${a.percent} %`,
  ),
  DINO1008: entry<{ path: string; reason: string }>(
    'error',
    'a safetensors file is malformed',
    (a) => `${a.path} is not a valid safetensors file: ${a.reason}`,
  ),
  DINO1009: entry<{ path: string; tensor: string; expected: string; found: string }>(
    'error',
    'a tensor in a file is missing or has another shape',
    (a) => `${a.path}: tensor \`${a.tensor}\`: expected ${a.expected}, found ${a.found}`,
  ),
  DINO1010: entry<{ source: string; path: string; reason: string }>(
    'error',
    'an IDX or digits file is malformed',
    (a) => `source \`${a.source}\`: ${a.path} is malformed: ${a.reason}`,
  ),
  DINO1011: entry<{ reference: string; images: number }>(
    'error',
    'a split holds no images',
    (a) => `\`${a.reference}\` holds none of the source's ${a.images} images`,
  ),
  DINO1012: entry<{ source: string; missing: number; first: string; list: string }>(
    'error',
    'files that a table or list names do not exist',
    (a) =>
      `source \`${a.source}\`: ${a.missing} of the files that ${a.list} names do not exist, the first: ${a.first}`,
  ),
  DINO1013: entry<{ reason: string }>(
    'error',
    'a data loader thread died',
    (a) => `a data loader thread died: ${a.reason}`,
  ),
  DINO1014: entry<{ reference: string; what: string }>(
    'error',
    'no image has a label where labels are needed',
    (a) => `\`${a.reference}\` has no labelled images, which ${a.what} needs`,
  ),
  DINO1015: entry<{ reference: string; without: number; of: number }>(
    'note',
    'some images have no label',
    (a) =>
      `\`${a.reference}\`: ${a.without} of ${a.of} images have no label and stay out of labelled evaluations`,
  ),
  DINO1016: entry<{ unit: string }>(
    'error',
    'a length in epochs or passes cannot be turned into steps',
    (a) => `a length in ${a.unit} needs ${a.unit === 'epoch' ? '`schedule.epoch`' : 'training data'}`,
  ),
  DINO1017: entry<{ path: string; reason: string }>(
    'warning',
    'an unreadable image was replaced',
    (a) => `cannot read image ${a.path}: ${a.reason}; another image takes its place`,
  ),
  DINO1018: entry<{ input: string; kind: string }>(
    'error',
    'a plan asks for an input that the data loader cannot make',
    (a) => `input \`${a.input}\`: the data loader cannot make \`${a.kind}\` for this run`,
  ),
  DINO1019: entry<{ source: string; file: string; first: string; second: string }>(
    'error',
    'an image is listed twice with different labels or splits',
    (a) => `source \`${a.source}\`: ${a.file} is listed as \`${a.first}\` and as \`${a.second}\``,
  ),
  DINO1020: entry<{ source: string; channels: number; expected: number }>(
    'error',
    'sources of a run differ in their number of channels',
    (a) =>
      `source \`${a.source}\` has ${a.channels === 1 ? '1 channel' : `${a.channels} channels`}, the run's backbone reads ${a.expected}`,
  ),
  DINO1021: entry<{ source: string; setting: string; accepts: string }>(
    'error',
    'a setting of a source that cannot be read',
    (a) => `source \`${a.source}\`: cannot read \`${a.setting}\`: expected ${a.accepts}`,
  ),
  DINO1022: entry<{ path: string; reason: string }>(
    'warning',
    'an unreadable image was left out of an evaluation',
    (a) => `cannot read image ${a.path}: ${a.reason}; it is left out of the evaluation`,
  ),
  DINO1023: entry<{ path: string; reason: string }>(
    'error',
    'an image of an evaluation became unreadable during the run',
    (a) => `${a.path} could be read when the run began and cannot any more: ${a.reason}`,
  ),
  DINO1024: entry<{ source: string; table: string; missing: number }>(
    'warning',
    'a label table names files that are not there',
    (a) =>
      `source \`${a.source}\`: ${a.missing} ${a.missing === 1 ? 'file' : 'files'} that ${a.table} names ${a.missing === 1 ? 'is' : 'are'} not there`,
  ),
  DINO1025: entry<{ evaluation: string; k: number; images: number }>(
    'warning',
    'k-NN asks for more neighbours than there are training images',
    (a) =>
      `\`eval.${a.evaluation}\`: k = ${a.k}, but there are only ${a.images} labelled training images: all of them vote`,
  ),
  DINO1070: entry<{ directory: string }>(
    'error',
    'no runs to report',
    ({ directory }) => `\`${directory}\` holds no runs, so there is nothing to report`,
  ),
} as const
