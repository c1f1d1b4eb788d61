import { entry } from './entry.js'

/** DINO05xx: experiment rules. */
export const experiment = {
  DINO0501: entry<{ width: number; heads: number }>(
    'error',
    'width is not a multiple of the attention heads',
    ({ width, heads }) => `width ${width} is not a multiple of ${heads} heads`,
  ),
  DINO0502: entry<{ what: string; size: number; patch: number }>(
    'error',
    'crop size is not a multiple of the patch size',
    ({ what, size, patch }) => `${what} ${size} px is not a multiple of patch size ${patch} px`,
  ),
  DINO0503: entry<{ first: string; second: string; block: string }>(
    'error',
    'fields that exclude each other',
    ({ first, second, block }) =>
      `${block} has both \`${first}\` and \`${second}\`, which say the same thing`,
  ),
  DINO0504: entry<{ batch: number; ranks: number }>(
    'error',
    'batch does not divide over the ranks',
    ({ batch, ranks }) => `batch ${batch} does not divide over ${ranks} ranks`,
  ),
  DINO0505: entry<{ perRank: number; micro: number }>(
    'error',
    'batch does not divide into micro-batches',
    ({ perRank, micro }) => `${perRank} images of a rank do not divide into micro-batches of ${micro}`,
  ),
  DINO0506: entry<{ schedule: string; phase: string; over: string; length: string }>(
    'error',
    'warm-up longer than its phase',
    ({ schedule, phase, over, length }) =>
      `the warm-up of \`${schedule}\` lasts ${over}, longer than phase \`${phase}\` with ${length}`,
  ),
  DINO0507: entry<{ images: number; where: string }>(
    'error',
    'KoLeo with fewer than two images',
    ({ images, where }) => `KoLeo needs at least 2 images ${where}, found ${images}`,
  ),
  DINO0508: entry<{ phase: string; grid: number }>(
    'error',
    'mask ratio that cannot fit',
    ({ phase, grid }) =>
      `no crop of phase \`${phase}\` can be masked as asked: it has ${grid} x ${grid} patches`,
  ),
  DINO0509: entry<{ loss: string }>(
    'error',
    'masked patches without masking',
    ({ loss }) => `loss \`${loss}\` is on masked patches, but the experiment has no masking`,
  ),
  DINO0510: entry<{ from: string }>(
    'error',
    'teacher without heads',
    ({ from }) => `the frozen teacher ${from} has no heads to give targets with`,
  ),
  DINO0511: entry<{ micro: number }>(
    'error',
    'micro-batches with global semantics',
    ({ micro }) => `micro-batches of ${micro} images cannot be used with \`semantics = global\``,
  ),
  DINO0513: entry(
    'error',
    'epochs without a meaning',
    () => '`epochs` is used, but `schedule.epoch` does not say what an epoch is',
  ),
  DINO0514: entry<{ grid: string; points: number }>(
    'error',
    'grid too large',
    ({ grid, points }) => `grid \`${grid}\` has ${points} points, more than 1000`,
  ),
  DINO0515: entry<{ k: number; eval: string }>(
    'error',
    'metric for a number of neighbours that is not evaluated',
    ({ k, eval: name }) => `\`top1@${k}\` is not among what evaluation \`${name}\` computes`,
  ),
  DINO0516: entry<{ what: string; teacher: number; student: number }>(
    'error',
    'teacher and student do not fit together',
    ({ what, teacher, student }) => `the teacher's ${what} is ${teacher}, the student's ${student}`,
  ),
  DINO0517: entry<{ what: string; sum: string }>(
    'error',
    'shares that do not add up to 100 %',
    ({ what, sum }) => `the shares of ${what} add up to ${sum}`,
  ),
  DINO0519: entry<{ what: string }>(
    'error',
    'features of an average that is not kept',
    ({ what }) => `${what} asks for \`keep\`, but the experiment keeps no average`,
  ),
  DINO0520: entry<{ batch: number; images: number }>(
    'error',
    'batch does not divide into sets',
    ({ batch, images }) => `${batch} images do not divide into sets of ${images}`,
  ),
  DINO0521: entry<{ blocks: number; depth: number }>(
    'error',
    'more blocks than the backbone has',
    ({ blocks, depth }) => `the last ${blocks} blocks are asked for, but the backbone has ${depth}`,
  ),
  DINO0522: entry<{ unit: string }>(
    'error',
    'epoch defined by itself',
    ({ unit }) => `\`schedule.epoch\` must be a number of steps or passes, found ${unit}`,
  ),
  DINO0523: entry<{ channels: string }>(
    'error',
    'sources with different numbers of channels',
    ({ channels }) => `the training images have different numbers of channels: ${channels}`,
  ),
  DINO0524: entry<{ listed: number; channels: number; field: string }>(
    'error',
    'normalisation for another number of channels',
    ({ listed, channels, field }) =>
      `\`${field}\` has ${listed} values, but the images have ${channels} channels`,
  ),
  DINO0525: entry<{ kernel: number }>(
    'error',
    'blur kernel of even size',
    ({ kernel }) => `a blur kernel has a middle: expected an odd size, found ${kernel}`,
  ),
  DINO0526: entry<{ eval: string; source: string }>(
    'error',
    'evaluation with nothing to learn from',
    ({ eval: name, source }) => `evaluation \`${name}\` needs labels, but source \`${source}\` has none`,
  ),
  DINO0529: entry<{ path: string }>(
    'error',
    'saved experiment that is not one',
    ({ path }) => `${path} does not hold a resolved experiment`,
  ),
} as const
